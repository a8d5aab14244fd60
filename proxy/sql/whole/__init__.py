"""Statements of a tenant that has a database of its own: sent as they came, unless they reach beyond that database."""
