"""Facts about a tenant's own database that matter because others are there: functions that act as somebody else, and
what the server tells of its other databases.

Who owns the tables that a SECURITY DEFINER function writes, or can stand on its path, makes its owner run code; with a
superuser's that is the whole server. What every role of a server may read about other databases shows no row, but who
is there. Asks about many roles at once. Source: PostgreSQL documentation, "Writing SECURITY DEFINER Functions Safely",
"Privileges", "The Cumulative Statistics System".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.catalog.finding import Finding, identifier

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

DEFINERS = """
SELECT r.rolname::pg_catalog.text AS role, p.oid::pg_catalog.regprocedure::pg_catalog.text AS name
  FROM pg_catalog.pg_roles r CROSS JOIN pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE r.rolname = ANY ($1::pg_catalog.name[]) AND p.prosecdef AND p.proowner <> r.oid
   AND n.nspname NOT IN ('pg_catalog', 'information_schema')
 ORDER BY 1, 2
"""
HAS_PARAMETERS = "SELECT pg_catalog.to_regclass('pg_catalog.pg_parameter_acl') IS NOT NULL"  # from 15 on
PARAMETERS = """
SELECT r.rolname::pg_catalog.text AS role, p.parname AS name,
       pg_catalog.has_parameter_privilege(r.oid, p.parname, 'ALTER SYSTEM') AS alters
  FROM pg_catalog.pg_roles r CROSS JOIN pg_catalog.pg_parameter_acl p
 WHERE r.rolname = ANY ($1::pg_catalog.name[])
   AND pg_catalog.has_parameter_privilege(r.oid, p.parname, 'SET, ALTER SYSTEM')
 ORDER BY 1, 2
"""
# Other tenants' databases, perhaps, and whether they may be entered. What belongs to every server is not meant.
NEIGHBOURS = """
SELECT r.rolname::pg_catalog.text AS role, d.datname::pg_catalog.text AS name,
       pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT') AS enters
  FROM pg_catalog.pg_roles r CROSS JOIN pg_catalog.pg_database d
 WHERE r.rolname = ANY ($1::pg_catalog.name[])
   AND NOT d.datistemplate AND d.datname NOT IN ('postgres', pg_catalog.current_database())
 ORDER BY 1, 2
"""
# What every role may read and other databases have put there: names of applications, which are the proxy's labels too,
# their settings, comments on them, and what their transactions are called.
TELLING_FUNCTIONS = ["pg_stat_get_activity", "pg_prepared_xact"]
TELLING_RELATIONS = ["pg_db_role_setting", "pg_shdescription", "pg_shseclabel"]
TELLING = """
SELECT r.rolname::pg_catalog.text AS role, 'EXECUTE ON FUNCTION' AS what,
       p.oid::pg_catalog.regprocedure::pg_catalog.text AS name
  FROM pg_catalog.pg_roles r CROSS JOIN pg_catalog.pg_proc p
 WHERE r.rolname = ANY ($1::pg_catalog.name[]) AND p.proname = ANY ($2::pg_catalog.text[])
   AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
   AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')
UNION ALL
SELECT r.rolname::pg_catalog.text, 'SELECT ON', c.relname::pg_catalog.text
  FROM pg_catalog.pg_roles r CROSS JOIN pg_catalog.pg_class c
 WHERE r.rolname = ANY ($1::pg_catalog.name[]) AND c.relname = ANY ($3::pg_catalog.text[])
   AND c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace
   AND pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT')
ORDER BY 1, 2, 3
"""
HEARD = "SELECT application_name FROM pg_stat_activity WHERE datname <> current_database()"

Found = list[tuple[str, Finding]]


async def neighbour_findings(connection: CatalogConnection, roles: Sequence[str]) -> Found:
    """What roles of tenants with a database of their own could make others do there, and what they hear of other
    databases, each with its role. Errors: asyncpg.PostgresError.
    """
    names = list(roles)
    found: Found = []
    for row in await connection.fetch(DEFINERS, names):
        text = f"{row['name']} acts as its owner, who is not role {identifier(row['role'])}: so may what that made"
        remedy = f"ALTER ROUTINE {row['name']} SECURITY INVOKER;"
        attack = f"SELECT {row['name'].partition('(')[0]}(…) -- with a trigger or an operator of one's own in its way"
        found.append((row["role"], Finding("function.definer", "critical", text, remedy, attack)))
    if await connection.fetchval(HAS_PARAMETERS):
        for row in await connection.fetch(PARAMETERS, names):
            role, name = identifier(row["role"]), row["name"]
            text = f"role {role} may set {name}, which is the server's"
            remedy = f"REVOKE SET, ALTER SYSTEM ON PARAMETER {name} FROM PUBLIC, {role};"
            attack = f"{'ALTER SYSTEM SET' if row['alters'] else 'SET'} {name} = …"
            found.append((row["role"], Finding("role.parameter", "critical", text, remedy, attack)))
    neighbours: dict[str, list[str]] = {}
    for row in await connection.fetch(NEIGHBOURS, names):
        neighbours.setdefault(row["role"], []).extend([identifier(row["name"])] if row["enters"] else [])
    for role, entered in neighbours.items():
        if entered:
            text = f"role {identifier(role)} may log in to other databases of the server, such as {entered[0]}"
            remedy = " ".join(f"REVOKE CONNECT ON DATABASE {one} FROM PUBLIC, {identifier(role)};" for one in entered)
            attack = f"ALTER ROLE {identifier(role)} PASSWORD 'known' -- in a DO block, and then a log-in there"
            found.append((role, Finding("role.connect", "warning", text, remedy, attack)))
    telling: dict[str, list[tuple[str, str]]] = {}
    for row in await connection.fetch(TELLING, list(neighbours), TELLING_FUNCTIONS, TELLING_RELATIONS):
        telling.setdefault(row["role"], []).append((row["what"], row["name"]))
    for role, told in telling.items():
        listed = ", ".join(name for _, name in told)
        text = f"the server has other databases, and role {identifier(role)} may read what is told of them: {listed}"
        remedy = " ".join(f"REVOKE {what} pg_catalog.{name} FROM PUBLIC, {identifier(role)};" for what, name in told)
        found.append((role, Finding("server.neighbours", "warning", text, remedy, HEARD)))
    return found
