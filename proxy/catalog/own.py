"""Facts about the role that serves a tenant on a database of its own: it may own what is there, and reach nothing else.

What the planner refuses by statement, a block of code could still do if the role may. So it must not be able to read
the server's files, to reach other servers, or to change other databases. Source: PostgreSQL documentation, "System
Administration Functions", "Foreign Data", "Privileges".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.catalog import role_queries
from proxy.catalog.finding import Finding, identifier

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

# Findings of shared databases that are no findings here.
ALLOWED = frozenset({"role.bypassrls", "database.create", "database.temporary"})

REACHING = [
    "lo_export", "lo_import", "pg_create_restore_point", "pg_current_logfile", "pg_ls_archive_statusdir", "pg_ls_dir",
    "pg_ls_logdir", "pg_ls_tmpdir", "pg_ls_waldir", "pg_promote", "pg_read_binary_file", "pg_read_file",
    "pg_reload_conf", "pg_rotate_logfile", "pg_stat_file", "pg_stat_reset_shared", "pg_switch_wal",
]  # fmt: skip


async def own_findings(connection: CatalogConnection, roles: Sequence[str]) -> list[tuple[str, Finding]]:
    """What these roles can reach beyond the database, each with its role; nothing of superusers. Errors:
    asyncpg.PostgresError.
    """
    names = list(roles)
    found = []
    for row in await connection.fetch(role_queries.FUNCTIONS, names, REACHING):
        role, name = identifier(row["role"]), row["name"]
        text = f"role {role} may call {name}, which reaches beyond its database"
        remedy = f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC, {role};"
        attack = f"SELECT {name.partition('(')[0]}(…)"
        found.append((row["role"], Finding("role.function", "critical", text, remedy, attack)))
    for row in await connection.fetch(role_queries.FOREIGN, names):
        role, name, kind = identifier(row["role"]), identifier(row["name"]), row["kind"]
        text = f"role {role} may use the foreign {kind.lower()} {name}"
        remedy = f"REVOKE USAGE ON FOREIGN {kind} {name} FROM PUBLIC, {role};"
        attack = f"CREATE USER MAPPING FOR CURRENT_USER SERVER {name} -- and then its tables"
        if kind != "SERVER":
            attack = f"CREATE SERVER another FOREIGN DATA WRAPPER {name} -- with any address"
        found.append((row["role"], Finding("role.foreign", "critical", text, remedy, attack)))
    for row in await connection.fetch(role_queries.DATABASES, names):
        role, name = identifier(row["role"]), identifier(row["name"])
        text = f"role {role} owns another database, {name}"
        remedy = f"ALTER DATABASE {name} OWNER TO some_owner;"
        attack = f"ALTER DATABASE {name} CONNECTION LIMIT 0 -- or DROP DATABASE"
        found.append((row["role"], Finding("role.databases", "critical", text, remedy, attack)))
    return found
