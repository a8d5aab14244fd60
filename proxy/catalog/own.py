"""Facts about the role that serves a tenant on a database of its own: it may own what is there, and reach nothing else.

What the planner refuses by statement, a block of code could still do if the role may. So it must not be able to read
the server's files, to reach other servers, or to change other databases. Source: PostgreSQL documentation, "System
Administration Functions", "Foreign Data", "Privileges".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
FUNCTIONS = """
SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text AS name FROM pg_catalog.pg_proc p
 WHERE ((p.proname = ANY ($1::pg_catalog.text[]) AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace)
        OR p.proname LIKE 'dblink%')
   AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
 ORDER BY 1
"""
FOREIGN = """
SELECT 'SERVER' AS kind, s.srvname::pg_catalog.text AS name FROM pg_catalog.pg_foreign_server s
 WHERE pg_catalog.has_server_privilege(s.oid, 'USAGE')
UNION ALL
SELECT 'DATA WRAPPER', w.fdwname::pg_catalog.text FROM pg_catalog.pg_foreign_data_wrapper w
 WHERE pg_catalog.has_foreign_data_wrapper_privilege(w.oid, 'USAGE')
ORDER BY 1, 2
"""
DATABASES = """
SELECT d.datname::pg_catalog.text AS name FROM pg_catalog.pg_database d
 WHERE d.datdba = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
   AND d.datname <> pg_catalog.current_database()
 ORDER BY 1
"""


async def own_findings(connection: CatalogConnection, role: str) -> list[Finding]:
    """What the role of a tenant with a database of its own can reach beyond it. Errors: asyncpg.PostgresError."""
    named = identifier(role)
    found = [
        Finding(
            "role.function",
            "critical",
            f"role {named} may call {row['name']}, which reaches beyond its database",
            f"REVOKE EXECUTE ON FUNCTION {row['name']} FROM PUBLIC, {named};",
        )
        for row in await connection.fetch(FUNCTIONS, REACHING)
    ]
    found += [
        Finding(
            "role.foreign",
            "critical",
            f"role {named} may use the foreign {row['kind'].lower()} {identifier(row['name'])}",
            f"REVOKE USAGE ON FOREIGN {row['kind']} {identifier(row['name'])} FROM PUBLIC, {named};",
        )
        for row in await connection.fetch(FOREIGN)
    ]
    found += [
        Finding(
            "role.databases",
            "critical",
            f"role {named} owns another database, {identifier(row['name'])}",
            f"ALTER DATABASE {identifier(row['name'])} OWNER TO some_owner;",
        )
        for row in await connection.fetch(DATABASES)
    ]
    return found
