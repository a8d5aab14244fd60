"""`partywall demo`: an embedded PostgreSQL, a sample database of a few tenants, and the proxy in front of it."""
