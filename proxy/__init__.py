"""Partywall: a PostgreSQL proxy that keeps the tenants of one database apart.

The map of the house, from the street to the cellar (a storey imports only from those below it):

    cli, app      commands, and the one place where services are built and handed to each other
    admin         the operator's door: health, metrics
    server        sockets: listener, client connections, cancel requests, the process's life
    session       one client conversation, sans-IO: events in, actions out
    pool          server connections lent to tenants; who waits, who is served
    backend       what one server connection has: settings, prepared statements, what must be undone
    sql           (text, policy, catalog) -> plan: parse, permit, rewrite, render, verify
    catalog       what the server holds: relations, columns, keys, functions, operators
    tenancy       rule files -> rule book: tenants, logins, policies, limits
    wire, auth    the PostgreSQL protocol and SASL as pure code
    observe       logs and the audit trail
    settings, errors
"""

__version__ = "0.1.0"
