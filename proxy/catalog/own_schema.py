"""Facts about the role of a tenant with a schema of its own: it may do there what it likes, read what is shared, and
reach nothing else of the database.

The role is the wall between two tenants of one database: whatever a statement was taken for, the server lets it touch
no other schema. So these are critical findings. Source: PostgreSQL documentation, "Privileges", "Schemas".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.catalog.finding import Finding, identifier

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

# $1: the tenant's schema; $2: the shared ones. What stands in these has no findings of its own.
OWN = """
SELECT n.nspname IS NOT NULL AS present,
       n.nspname IS NOT NULL AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS usable
  FROM (SELECT) o LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1::pg_catalog.name
"""
REACHED = r"""
SELECT n.nspname::pg_catalog.text AS name, pg_catalog.has_schema_privilege(n.oid, 'CREATE') AS creates
  FROM pg_catalog.pg_namespace n
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', $1::pg_catalog.name) AND n.nspname !~ '^pg_(toast_)?temp_'
   AND (pg_catalog.has_schema_privilege(n.oid, 'CREATE')
        OR (n.nspname <> ALL ($2::pg_catalog.name[]) AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')))
 ORDER BY 1
"""
OWNED = r"""
SELECT pg_catalog.format('%s %s', o.kind, o.name) AS name FROM (
  SELECT 'relation' AS kind, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.relowner AS owner
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname <> $1::pg_catalog.name
     AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
  UNION ALL
  SELECT 'schema', pg_catalog.quote_ident(n.nspname), n.nspowner FROM pg_catalog.pg_namespace n
   WHERE n.nspname !~ '^pg_(toast_)?temp_'
  UNION ALL
  SELECT 'function', p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proowner
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
   WHERE n.nspname <> $1::pg_catalog.name AND n.nspname !~ '^pg_(toast_)?temp_'
  UNION ALL
  SELECT 'database', pg_catalog.quote_ident(d.datname), d.datdba FROM pg_catalog.pg_database d
) o WHERE o.owner = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
ORDER BY 1
"""
WRITABLE = """
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY ($1::pg_catalog.name[])
   AND CASE WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE, UPDATE')
            WHEN c.relkind IN ('r', 'p', 'v', 'm', 'f')
            THEN pg_catalog.has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
              OR pg_catalog.has_any_column_privilege(c.oid, 'INSERT, UPDATE, REFERENCES')
            ELSE false END
 ORDER BY 1
"""
DEFINERS = """
SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text AS name
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE p.prosecdef AND n.nspname <> 'pg_catalog' AND n.nspname = ANY ($1::pg_catalog.name[])
   AND p.proowner <> (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
   AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
 ORDER BY 1
"""


async def schema_findings(connection: CatalogConnection, role: str, schemas: Sequence[str]) -> list[Finding]:
    """What the role of a tenant can reach beyond its schema, the first of `schemas`, and beyond reading the others.
    Errors: asyncpg.PostgresError.
    """
    own, shared = schemas[0], list(schemas[1:])
    named = identifier(role)
    found = []
    present = await connection.fetchrow(OWN, own)
    if present is None or not present["usable"]:
        what = "may not use" if present is not None and present["present"] else "has no"
        text = f"role {named} {what} schema {identifier(own)}"
        found.append(Finding("schema.own", "critical", text, "run what `partywall provision` prints"))
    for row in await connection.fetch(REACHED, own, shared):
        schema = identifier(row["name"])
        what = "create objects in" if row["creates"] else "use"
        revoked = "CREATE" if row["creates"] else "USAGE"
        text = f"role {named} may {what} schema {schema}, which is not its own"
        remedy = f"REVOKE {revoked} ON SCHEMA {schema} FROM PUBLIC, {named};"
        found.append(Finding("schema.reach", "critical", text, remedy))
    owned = [row["name"] for row in await connection.fetch(OWNED, own)]
    if owned:
        listed = ", ".join(owned[:5]) + (f" and {len(owned) - 5} more" if len(owned) > 5 else "")
        remedy = "ALTER ... OWNER TO some_owner;"
        found.append(Finding("role.owner", "critical", f"role {named} owns {listed}", remedy))
    found += [
        Finding(
            "schema.write",
            "critical",
            f"role {named} may change {row['name']}, which others read",
            f"REVOKE ALL ON {row['name']} FROM PUBLIC, {named}; GRANT SELECT ON {row['name']} TO {named};",
        )
        for row in await connection.fetch(WRITABLE, shared)
    ]
    found += [
        Finding(
            "function.definer",
            "critical",
            f"role {named} may call {row['name']}, which acts as its owner",
            f"REVOKE EXECUTE ON FUNCTION {row['name']} FROM PUBLIC, {named};",
        )
        for row in await connection.fetch(DEFINERS, [own, *shared])
    ]
    return found
