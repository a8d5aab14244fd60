"""What others have of a tenant's schema or database: a way in, objects of their own, privileges, and what will be given
of tables to come.

The tenant's role is no danger by it; it is what the doctor tells besides the facts, of many tenants at once, and what
`partywall provision` puts right. Asks on a connection of catalog.connect; changes nothing. Source: PostgreSQL
documentation, "Privileges", "ALTER DEFAULT PRIVILEGES".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from proxy.catalog.finding import Finding, Severity, identifier

if TYPE_CHECKING:
    from asyncpg import Record

    from proxy.catalog.connect import CatalogConnection

Found = list[tuple[str, Finding]]  # with the role of the tenant that it is about

# $1: roles; $2: the schema of each. grantee: quoted, or PUBLIC.
_PAIRS = """
WITH pair(role, oid, own) AS (
  SELECT t.role, r.oid, n.oid
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.name[]),
                    pg_catalog.unnest($2::pg_catalog.name[])) t(role, own)
    JOIN pg_catalog.pg_roles r ON r.rolname = t.role JOIN pg_catalog.pg_namespace n ON n.nspname = t.own)
"""
_GRANTEE = """CASE WHEN a.grantee = 0::pg_catalog.oid THEN 'PUBLIC'
            ELSE '"' || pg_catalog.replace(pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text, '"', '""') || '"'
            END AS grantee"""
OPEN = f"""{_PAIRS}
SELECT p.role::pg_catalog.text, n.nspname::pg_catalog.text AS schema, {_GRANTEE}
  FROM pair p JOIN pg_catalog.pg_namespace n ON n.oid = p.own
  CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a
 WHERE a.grantee <> p.oid AND a.grantee <> n.nspowner GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
# Indexes, row types and the sequences of columns go with their tables. A foreign table is an operator's, and stays so:
# who owns it says what is read elsewhere. acts: it reads with the rights of its owner.
STRANGE = f"""{_PAIRS}
SELECT p.role::pg_catalog.text, o.kind, o.name, o.acts FROM pair p JOIN (
  SELECT c.relnamespace, c.relowner, CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
           WHEN 'S' THEN 'SEQUENCE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END,
         pg_catalog.format('%I.%I', n.nspname, c.relname),
         c.relkind = 'm' OR c.relkind = 'v' AND NOT COALESCE(
           (SELECT t.option_value::pg_catalog.bool FROM pg_catalog.pg_options_to_table(c.reloptions) t
             WHERE t.option_name = 'security_invoker'), false)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c')
     AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid
           AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')))
  UNION ALL
  SELECT t.typnamespace, t.typowner, CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END,
         t.oid::pg_catalog.regtype::pg_catalog.text, false
    FROM pg_catalog.pg_type t WHERE t.typtype IN ('d', 'e', 'r')
  UNION ALL
  SELECT f.pronamespace, f.proowner, 'ROUTINE', f.oid::pg_catalog.regprocedure::pg_catalog.text, false
    FROM pg_catalog.pg_proc f) o(own, owner, kind, name, acts) ON o.own = p.own AND o.owner <> p.oid
 ORDER BY 1, 2, 3
"""
GIVEN = f"""{_PAIRS}
SELECT p.role::pg_catalog.text, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, {_GRANTEE},
       pg_catalog.array_agg(DISTINCT a.privilege_type) AS privileges
  FROM pair p JOIN pg_catalog.pg_class c ON c.relnamespace = p.own JOIN pg_catalog.pg_namespace n ON n.oid = p.own
  CROSS JOIN LATERAL (
    SELECT e.* FROM pg_catalog.aclexplode(c.relacl) e
    UNION ALL SELECT e.* FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) e
     WHERE t.attrelid = c.oid) a
 WHERE a.grantee <> p.oid AND a.grantee <> c.relowner GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
# $3: the shared schemas, of whose tables a tenant is given SELECT.
DEFAULTS = f"""{_PAIRS}
SELECT p.role::pg_catalog.text, pg_catalog.pg_get_userbyid(d.defaclrole)::pg_catalog.text AS maker,
       COALESCE(n.nspname::pg_catalog.text, '') AS schema, {_GRANTEE},
       CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' ELSE 'SEQUENCES' END AS kind,
       pg_catalog.array_agg(a.privilege_type ORDER BY a.privilege_type) AS privileges
  FROM pair p CROSS JOIN pg_catalog.pg_default_acl d CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) a
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
 WHERE d.defaclobjtype IN ('r', 'S') AND CASE
         WHEN d.defaclnamespace = p.own THEN a.grantee <> p.oid
         WHEN n.nspname = ANY ($3::pg_catalog.name[])
           THEN a.grantee IN (0::pg_catalog.oid, p.oid) AND NOT (d.defaclobjtype = 'r' AND a.privilege_type = 'SELECT')
         WHEN n.oid IS NULL THEN a.grantee IN (0::pg_catalog.oid, p.oid) AND d.defaclrole <> p.oid
         ELSE false END
 GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 3, 2, 4, 5
"""
CONNECTING = """
SELECT d.datname::pg_catalog.text AS name FROM pg_catalog.pg_database d
 WHERE d.datname = pg_catalog.current_database() AND EXISTS (
   SELECT FROM pg_catalog.aclexplode(COALESCE(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
    WHERE a.grantee = 0::pg_catalog.oid AND a.privilege_type = 'CONNECT')
"""


async def connect_findings(
    connection: CatalogConnection, roles: Sequence[str], severity: Severity
) -> list[tuple[str, Finding]]:
    """`database.connect`: every role of the server gets in. Errors: asyncpg.PostgresError."""
    name = await connection.fetchval(CONNECTING)
    if name is None:
        return []
    database = identifier(name)
    return [
        (
            role,
            Finding(
                "database.connect",
                severity,
                f"every role of the server may connect to database {database}",
                f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC;"
                f" GRANT CONNECT ON DATABASE {database} TO {identifier(role)};",
                "SELECT relname FROM pg_catalog.pg_class -- as any role: what others call their tables",
            ),
        )
        for role in roles
    ]


async def object_findings(
    connection: CatalogConnection, roles: Mapping[str, str], shared: Sequence[str]
) -> list[tuple[str, Finding]]:
    """What others have of the schemas of these roles, each with its role. Errors: asyncpg.PostgresError."""
    pairs = list(roles), list(roles.values())
    found: Found = []
    for row in await connection.fetch(OPEN, *pairs):
        schema, grantee = identifier(row["schema"]), row["grantee"]
        severity: Severity = "critical" if grantee == "PUBLIC" else "warning"
        text = f"{grantee} may use schema {schema}, which is a tenant's own"
        remedy = f"REVOKE ALL ON SCHEMA {schema} FROM {grantee};"
        attack = f"SELECT pg_catalog.to_regclass('{schema}.a_table') -- as another: tells whether it is there"
        found.append((row["role"], Finding(f"schema.{row['schema']}", severity, text, remedy, attack)))
    found += _of_strangers(await connection.fetch(STRANGE, *pairs), roles)
    for row in await connection.fetch(GIVEN, *pairs):
        name, grantee, may = row["name"], row["grantee"], ", ".join(sorted(row["privileges"]))
        text = f"{grantee} has {may} on {name}, which is a tenant's own"
        remedy, attack = f"REVOKE ALL ON {name} FROM {grantee};", f"SELECT * FROM {name} -- as another"
        found.append((row["role"], Finding(f"grants.{name}", "warning", text, remedy, attack)))
    for row in await connection.fetch(DEFAULTS, *pairs, list(shared)):
        maker, kind, may = identifier(row["maker"]), row["kind"], ", ".join(row["privileges"])
        schema = identifier(row["schema"]) if row["schema"] else ""
        within = f" IN SCHEMA {schema}" if schema else ""
        text = f"{row['grantee']} will have {may} on {kind.lower()} that {maker} makes in {schema or 'any schema'}"
        remedy = f"ALTER DEFAULT PRIVILEGES FOR ROLE {maker}{within} REVOKE {may} ON {kind} FROM {row['grantee']};"
        attack = f"{'TABLE' if 'SELECT' in may else 'DELETE FROM'} {schema + '.' if schema else ''}a_table -- made next"
        found.append((row["role"], Finding(f"defaults.{row['schema'] or '*'}", "warning", text, remedy, attack)))
    return found


def _of_strangers(rows: list[Record], roles: Mapping[str, str]) -> Found:
    """A finding for each view that acts as somebody else, and one for the rest of a schema."""
    found: Found = []
    rest: dict[str, list[str]] = {}
    for row in rows:
        role, kind, name = row["role"], row["kind"], row["name"]
        if row["acts"]:
            text = f"{kind.lower()} {name} is another's, and reads with that one's rights"
            remedy = f"ALTER {kind} {name} OWNER TO {identifier(role)};"
            if kind == "MATERIALIZED VIEW":  # or it would keep the rows that it has
                remedy += f" REFRESH {kind} {name} WITH NO DATA;"
            found.append((role, Finding(f"view.{name}", "critical", text, remedy, f"SELECT * FROM {name}")))
        else:
            rest.setdefault(role, []).append(f"{kind} {name}")
    for role, many in rest.items():
        schema = roles[role]
        text = f"the tenant cannot change what is another's in schema {identifier(schema)}: {', '.join(many[:5])}"
        text += f" and {len(many) - 5} more" if len(many) > 5 else ""
        remedy = " ".join(f"ALTER {one} OWNER TO {identifier(role)};" for one in many)
        attack = f"ALTER {many[0]} RENAME TO another -- 42501 for the tenant whose schema it is in"
        found.append((role, Finding(f"objects.{schema}", "warning", text, remedy, attack)))
    return found
