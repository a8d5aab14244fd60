"""What the doctor asks of a database besides its catalog: privileges of the role, indexes, triggers, definitions.

Asks on a connection of catalog.connect that is logged in as the very role that serves tenants; changes nothing. What
is found stands in doctor/. Sources: PostgreSQL documentation, "System Catalogs", "Access Privilege Inquiry Functions".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

_OUTSIDE = r"n.nspname NOT IN ('pg_catalog', 'information_schema', 'partywall') AND n.nspname !~ '^pg_'"

# MAINTAIN is known from 17 on; asking for what is unknown is an error.
_VERBS = """ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'] ||
           CASE WHEN current_setting('server_version_num')::int4 >= 170000 THEN ARRAY['MAINTAIN'] ELSE '{}' END"""

ROLE = "SELECT current_user::text AS role, current_setting('server_version_num')::int4 AS version"

PRIVILEGES = f"""
SELECT c.oid, c.reltuples::float8 AS rows, ARRAY(
         SELECT p FROM unnest({_VERBS}) p
          WHERE CASE WHEN p IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') THEN has_any_column_privilege(c.oid, p)
                     ELSE has_table_privilege(c.oid, p) END) AS privileges, ARRAY(
         SELECT p FROM unnest({_VERBS}) p
          WHERE CASE WHEN p IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                     THEN has_any_column_privilege(c.oid, p || ' WITH GRANT OPTION')
                     ELSE has_table_privilege(c.oid, p || ' WITH GRANT OPTION') END) AS grantable
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_OUTSIDE} ORDER BY c.oid
"""  # noqa: S608  # made of constants

# behind: the default of a column draws from it, as the role that inserts.
SEQUENCES = f"""
SELECT n.nspname::text AS schema, c.relname::text AS name, ARRAY(
         SELECT p FROM unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) p
          WHERE has_sequence_privilege(c.oid, p)) AS privileges,
       EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_attrdef'::regclass
                  AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid) AS behind
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'S' AND {_OUTSIDE} ORDER BY 1, 2
"""  # noqa: S608  # as above

# What whoever makes a table or sequence from now on gives to the role, to one that it is a member of, or ("") to all.
DEFAULTS = """
SELECT pg_get_userbyid(d.defaclrole)::text AS maker, COALESCE(n.nspname::text, '') AS schema,
       CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' ELSE 'SEQUENCES' END AS kind,
       CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,
       array_agg(a.privilege_type ORDER BY a.privilege_type) AS privileges
  FROM pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) a
  LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
 WHERE d.defaclobjtype IN ('r', 'S')
   AND (a.grantee = 0 OR pg_has_role(a.grantee, 'MEMBER'))
 GROUP BY 1, 2, 3, 4 ORDER BY 2, 1, 3, 4
"""

INDEXES = f"""
SELECT i.indrelid AS relation, x.relname::text AS name, m.amname::text AS method, i.indkey::int2[] AS columns,
       i.indnkeyatts::int4 AS key_columns, i.indisunique OR i.indisexclusion AS is_key,
       i.indpred IS NOT NULL AS partial, i.indisvalid AS valid,
       EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid) AS inherited,
       pg_get_indexdef(i.indexrelid) AS definition,
       (SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k
         WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')) AS key
  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
  JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE {_OUTSIDE} ORDER BY i.indrelid, x.relname
"""  # noqa: S608  # as above

FUNCTIONS = f"""
SELECT p.oid, p.oid::regprocedure::text AS signature FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE {_OUTSIDE} AND has_function_privilege(p.oid, 'EXECUTE')
   AND NOT EXISTS (
         SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
 ORDER BY p.oid
"""  # noqa: S608  # as above

ACTIONS = f"""
SELECT t.tgrelid AS relation, 'TRIGGER' AS kind, t.tgname::text AS name, t.tgfoid::regprocedure::text AS what,
       CASE WHEN t.tgtype & 16 <> 0 THEN 'UPDATE' WHEN t.tgtype & 4 <> 0 THEN 'INSERT'
            WHEN t.tgtype & 8 <> 0 THEN 'DELETE' ELSE 'TRUNCATE' END AS event
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'D' AND {_OUTSIDE}
UNION ALL
SELECT r.ev_class, 'RULE', r.rulename::text, '',
       CASE r.ev_type WHEN '2' THEN 'UPDATE' WHEN '3' THEN 'INSERT' ELSE 'DELETE' END
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE r.rulename <> '_RETURN' AND r.ev_enabled <> 'D' AND {_OUTSIDE}
ORDER BY 1, 2, 3
"""  # noqa: S608  # as above

POLICIES = "SELECT p.polrelid AS relation, p.polname::text AS name FROM pg_policy p ORDER BY 1, 2"

FOREIGN_KEYS = f"""
SELECT k.conrelid AS relation, k.conname::text AS name, pg_get_constraintdef(k.oid) AS definition
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE k.contype = 'f' AND {_OUTSIDE} ORDER BY k.conrelid, k.conname
"""  # noqa: S608  # as above


@dataclass(frozen=True, slots=True)
class Index:
    """pg_index. columns: attnums of what is searched for, 0 = an expression. is_key: it refuses rows. inherited: it is
    a partition's part of its parent's. key: the constraint that it serves, as pg_get_constraintdef prints it, or "".
    """

    name: str
    method: str
    columns: tuple[int, ...]
    is_key: bool
    partial: bool
    valid: bool
    inherited: bool
    definition: str
    key: str


@dataclass(frozen=True, slots=True)
class Action:
    """A trigger or rule that is enabled, its own and not its parent's. what: the trigger's function; event: one of
    those that set it off.
    """

    kind: str  # TRIGGER | RULE
    name: str
    what: str
    event: str  # INSERT | UPDATE | DELETE | TRUNCATE


@dataclass(frozen=True, slots=True)
class SequenceGrant:
    """A sequence, and what the role may do with it. behind: a column's default draws from it."""

    schema: str
    name: str
    privileges: tuple[str, ...]
    behind: bool


@dataclass(frozen=True, slots=True)
class DefaultGrant:
    """What `maker` gives away of each table or sequence that it makes, in a schema or ("") anywhere; grantee: "" for
    everybody.
    """

    maker: str
    schema: str
    kind: str  # TABLES | SEQUENCES
    grantee: str
    privileges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything by the oid of its relation; functions: signatures of those that the role may call."""

    role: str
    version: int  # server_version_num
    privileges: Mapping[int, tuple[str, ...]]
    rows: Mapping[int, float]  # as last estimated
    indexes: Mapping[int, tuple[Index, ...]]
    actions: Mapping[int, tuple[Action, ...]]
    foreign_keys: Mapping[tuple[int, str], str]  # (relation, name) -> as pg_get_constraintdef prints it
    functions: Mapping[int, str]
    grantable: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # with GRANT OPTION
    sequences: tuple[SequenceGrant, ...] = ()
    defaults: tuple[DefaultGrant, ...] = ()
    policies: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # their names


async def examine(connection: CatalogConnection) -> Examination:
    """Errors: asyncpg.PostgresError."""
    row = await connection.fetchrow(ROLE)
    assert row is not None
    relations = await connection.fetch(PRIVILEGES)
    indexes: dict[int, tuple[Index, ...]] = {}
    for one in await connection.fetch(INDEXES):
        columns = tuple(one["columns"][: one["key_columns"]])
        index = Index(
            one["name"], one["method"], columns, one["is_key"], one["partial"], one["valid"], one["inherited"],
            one["definition"], one["key"] or "",
        )  # fmt: skip
        indexes[one["relation"]] = (*indexes.get(one["relation"], ()), index)
    actions: dict[int, tuple[Action, ...]] = {}
    for one in await connection.fetch(ACTIONS):
        action = Action(one["kind"], one["name"], one["what"], one["event"])
        actions[one["relation"]] = (*actions.get(one["relation"], ()), action)
    policies: dict[int, tuple[str, ...]] = {}
    for one in await connection.fetch(POLICIES):
        policies[one["relation"]] = (*policies.get(one["relation"], ()), one["name"])
    foreign = await connection.fetch(FOREIGN_KEYS)
    return Examination(
        row["role"],
        row["version"],
        {one["oid"]: tuple(one["privileges"]) for one in relations},
        {one["oid"]: one["rows"] for one in relations},
        indexes,
        actions,
        {(one["relation"], one["name"]): one["definition"] for one in foreign},
        {one["oid"]: one["signature"] for one in await connection.fetch(FUNCTIONS)},
        {one["oid"]: tuple(one["grantable"]) for one in relations},
        tuple(
            SequenceGrant(one["schema"], one["name"], tuple(one["privileges"]), one["behind"])
            for one in await connection.fetch(SEQUENCES)
        ),
        tuple(
            DefaultGrant(one["maker"], one["schema"], one["kind"], one["grantee"], tuple(one["privileges"]))
            for one in await connection.fetch(DEFAULTS)
        ),
        policies,
    )
