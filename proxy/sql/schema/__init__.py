"""Statements of a tenant that has a schema of its own beside other tenants' in one database."""
