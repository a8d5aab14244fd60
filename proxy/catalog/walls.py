"""The wall that `partywall provision` builds at a server: what it is made of, and whether it stands.

A table `partywall.tenant_keys` maps each tenant's role to its keys, a function tells the role that has logged in its
own key, and one policy on every tenant table compares the tenant column with it. `wall_of` recognizes that policy and
no other; `wall_findings` says what is wrong with table, function and the role's keys. Sources: PostgreSQL
documentation, "Row Security Policies", "Writing SECURITY DEFINER Functions Safely"; decision 0079.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from proxy.catalog.finding import Finding, identifier
from proxy.catalog.model import Catalog

if TYPE_CHECKING:
    from asyncpg import Record

    from proxy.catalog.connect import CatalogConnection

GROUP = "partywall_tenants"  # has the privileges of every tenant behind policies, and cannot log in
POLICY = "partywall"
FUNCTION = "partywall.tenant_key(text)"
# Nothing in it depends on a search path, and nothing a session can set changes who has logged in.
BODY = (
    " BEGIN RETURN (SELECT k.value FROM ONLY partywall.tenant_keys k"
    " WHERE k.role OPERATOR(pg_catalog.=) session_user AND k.kind OPERATOR(pg_catalog.=) $1); END "
)
# The types that a tenant column may have, each as it is written in a cast. A text needs none, and a varchar is compared
# as text. No length belongs to them: a key that does not fit must match nothing, and not what it begins with.
CASTS: Mapping[int, str] = {
    21: "smallint",
    23: "integer",
    20: "bigint",
    2950: "uuid",
    25: "",
    1043: "",
    1042: "bpchar",
}
AS_TEXT = 1043
KIND = re.compile(r"partywall\.tenant_key\('((?:[^']|'')+)'::text\)")

# Each policy with each column of its table that it names.
POLICIES = """
SELECT p.polrelid AS relation, a.attname AS column, pg_catalog.quote_ident(a.attname) AS quoted, a.atttypid AS type,
       pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS condition,
       c.relrowsecurity AND c.relforcerowsecurity AND p.polname = 'partywall' AND p.polpermissive AND p.polcmd = '*'
         AND p.polroles = '{0}'
         AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS whole
  FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = p.polrelid AND a.attnum IN (
         SELECT d.refobjsubid FROM pg_catalog.pg_depend d
          WHERE d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid = p.oid
            AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = p.polrelid
            AND d.refobjsubid > 0)
 ORDER BY p.polrelid, p.polname, a.attnum
"""

# Roles for whom no policy holds, as one text.
BYPASSING = """
SELECT pg_catalog.string_agg(r.rolname::pg_catalog.text, ' ' ORDER BY r.rolname)
  FROM pg_catalog.pg_roles r WHERE r.rolsuper OR r.rolbypassrls
"""

# No row where schema, table or function are missing.
STANDING = """
SELECT p.prosrc AS body, l.lanname = 'plpgsql' AND p.prosecdef AND p.provolatile = 's' AND p.proconfig IS NULL
         AND NOT p.proretset AND p.prorettype = 'pg_catalog.text'::pg_catalog.regtype
         AND p.prosqlbody IS NULL AS made,
       (SELECT pg_catalog.bool_and(o.rolsuper) FROM pg_catalog.pg_roles o
         WHERE o.oid IN (n.nspowner, c.relowner, p.proowner)) AS superusers,
       EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) a WHERE a.grantee <> c.relowner)
         OR EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL) AS granted,
       c.relkind = 'r' AND NOT c.relhasrules AND NOT c.relhastriggers AND NOT c.relrowsecurity AS plain,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE')
         AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE') AS usable,
       (SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) AS bypasses
  FROM pg_catalog.pg_namespace n
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = 'tenant_keys'
  JOIN pg_catalog.pg_proc p ON p.pronamespace = n.oid AND p.proname = 'tenant_key'
   AND p.proargtypes = ARRAY['pg_catalog.text'::pg_catalog.regtype::pg_catalog.oid]::pg_catalog.oidvector
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE n.nspname = 'partywall'
"""
KEYS = "SELECT k AS kind, partywall.tenant_key(k) AS value FROM pg_catalog.unnest($1::pg_catalog.text[]) k"


def condition(column: str, type_oid: int, kind: str) -> str:
    """What the policy compares, in SQL, and as the server prints it when search_path is pg_catalog; column: as it is
    quoted. The key is asked for once for each statement, and an index can be searched with it.
    """
    key = "partywall.tenant_key('" + kind.replace("'", "''") + "'::text)"
    if CASTS[type_oid]:
        key = f"({key})::{CASTS[type_oid]}"
    return f"({f'({column})::text' if type_oid == AS_TEXT else column} = ( SELECT {key} AS key))"


def wall_of(policies: Sequence[Record]) -> tuple[str, str] | None:
    """The tenant column and the name of the key, where the rows are those of the policy that `provision` makes, and of
    no other.
    """
    if len(policies) != 1 or not policies[0]["whole"] or policies[0]["type"] not in CASTS:
        return None
    row = policies[0]
    found = KIND.search(row["condition"])
    if found is None:
        return None
    kind = found[1].replace("''", "'")
    return (row["column"], kind) if row["condition"] == condition(row["quoted"], row["type"], kind) else None


async def wall_findings(connection: CatalogConnection, role: str, keys: Mapping[str, str]) -> list[Finding]:
    """What is wrong with the table of keys, the function, and what they say of the role that has logged in; `keys`:
    what the rules say. Every one is critical: who writes that table says which rows are whose. Errors:
    asyncpg.PostgresError.
    """
    again = "run what `partywall provision` prints"
    row = await connection.fetchrow(STANDING)
    if row is None:
        text = "there is no partywall.tenant_keys or no partywall.tenant_key(text)"
        return [_critical("rls.missing", text, again, "SELECT * FROM a_table -- all rows, or none")]
    found = []
    if row["body"] != BODY or not row["made"]:
        text = f"function {FUNCTION} is not the one that was made"
        found.append(_critical("rls.function", text, again, "SELECT * FROM a_table -- the rows of whom it names"))
    if not row["superusers"]:
        text = "the schema partywall, its table tenant_keys or its function tenant_key is not a superuser's"
        attack = "UPDATE partywall.tenant_keys SET value = 'another' -- by the owner"
        things = ("SCHEMA partywall", "TABLE partywall.tenant_keys", f"FUNCTION {FUNCTION}")
        remedy = " ".join(f"ALTER {one} OWNER TO a_superuser;" for one in things)
        found.append(_critical("rls.owner", text, remedy, attack))
    if row["granted"] or not row["plain"]:
        text = "partywall.tenant_keys is not a plain table that nobody but its owner reaches"
        remedy = f"DROP TABLE partywall.tenant_keys; -- then {again}"
        attack = "UPDATE partywall.tenant_keys SET value = 'another' -- by who may"
        found.append(_critical("rls.keys", text, remedy, attack))
    if row["bypasses"]:
        remedy = f"ALTER ROLE {identifier(role)} NOSUPERUSER NOBYPASSRLS;"
        attack = "SELECT * FROM a_table -- all tenants' rows"
        found.append(_critical("rls.bypass", f"for role {identifier(role)} no policy holds", remedy, attack))
    if not row["usable"]:
        text = f"role {identifier(role)} may not use {FUNCTION}"
        return [*found, _critical("rls.role", text, again, "SELECT * FROM a_table -- is refused")]
    if found:  # what it would say means nothing
        return found
    told = {one["kind"]: one["value"] for one in await connection.fetch(KEYS, list(keys))}
    if told != dict(keys):
        wrong = ", ".join(sorted(name for name in keys if told[name] != keys[name]))
        text = f"for role {identifier(role)} partywall.tenant_keys does not say what the rules say: {wrong}"
        found.append(_critical("rls.key", text, again, "SELECT * FROM a_table -- another tenant's rows"))
    return found


def without_walls(catalog: Catalog) -> Catalog:
    """The picture of a database in which no policy counts."""
    relations = {at: one if one.wall is None else replace(one, wall=None) for at, one in catalog.relations.items()}
    return replace(catalog, relations=relations)


def _critical(name: str, text: str, remedy: str, attack: str) -> Finding:
    return Finding(name, "critical", text, remedy, attack, acceptable=False)
