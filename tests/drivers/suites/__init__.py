"""The drivers' own test suites, directly at a PostgreSQL and through the proxy on a database of the tenant's own."""
