"""Facts about the role and the database that must hold before anything is served (architecture, decision 10).

A proxy cannot confine a role that is above the law: `critical` findings mean that nothing may be served, `warning`
findings are told and tolerated. Every finding has the SQL that mends it. Asks on a connection of catalog.connect that
is logged in as the very role that serves tenants; changes nothing. Sources: PostgreSQL documentation, "Role
Attributes", "Predefined Roles", "Privileges"; pg_db_role_setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from proxy.catalog.connect import NEWEST, OLDEST
from proxy.catalog.finding import Finding, identifier
from proxy.catalog.own import ALLOWED, own_findings
from proxy.catalog.own_schema import schema_findings

if TYPE_CHECKING:
    from asyncpg import Record

    from proxy.catalog.connect import CatalogConnection, ServerAddress

ATTRIBUTES = {
    "rolsuper": ("SUPERUSER", "is a superuser: no privilege and no policy holds for it"),
    "rolbypassrls": ("BYPASSRLS", "ignores row security"),
    "rolcreaterole": ("CREATEROLE", "can create roles and grant itself other roles"),
    "rolcreatedb": ("CREATEDB", "can create databases, which it would own"),
    "rolreplication": ("REPLICATION", "can read every change of every database"),
}

# What a role or database may have set without an effect on answers. What the proxy sends at start-up wins over these
# anyway.
HARMLESS = frozenset({
    "application_name", "client_min_messages", "deadlock_timeout", "effective_cache_size", "effective_io_concurrency",
    "idle_in_transaction_session_timeout", "idle_session_timeout", "jit", "lock_timeout", "maintenance_work_mem",
    "max_parallel_workers_per_gather", "random_page_cost", "search_path", "seq_page_cost", "statement_timeout",
    "synchronous_commit", "synchronize_seqscans", "temp_buffers", "temp_file_limit", "transaction_timeout", "work_mem",
})  # fmt: skip
HARMLESS_PREFIXES = ("log_", "auto_explain.", "pg_stat_statements.")

# These change what a statement may do, or run code.
DANGEROUS = frozenset({
    "role", "session_authorization", "row_security", "session_replication_role", "local_preload_libraries",
    "session_preload_libraries", "dynamic_library_path", "allow_system_table_mods", "ignore_system_indexes",
    "default_tablespace", "temp_tablespaces", "event_triggers",
})  # fmt: skip

ROLE = """
SELECT r.rolname::pg_catalog.text AS name, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb, r.rolreplication,
       session_user::pg_catalog.text AS session,
       pg_catalog.current_database()::pg_catalog.text AS database,
       pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version,
       pg_catalog.current_setting('server_encoding') AS encoding,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS create_schema,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY') AS temporary
  FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""

# Everything in reach that the role owns: itself an owner can always grant, alter and drop.
OWNED = r"""
SELECT pg_catalog.format('%s %s', o.kind, o.name) AS name FROM (
  SELECT 'relation' AS kind, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.relowner AS owner
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
  UNION ALL
  SELECT 'schema', pg_catalog.quote_ident(n.nspname), n.nspowner FROM pg_catalog.pg_namespace n
   WHERE n.nspname !~ '^pg_(toast_)?temp_'
  UNION ALL
  SELECT 'function', p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proowner FROM pg_catalog.pg_proc p
   WHERE p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace
  UNION ALL
  SELECT 'database', pg_catalog.quote_ident(d.datname), d.datdba FROM pg_catalog.pg_database d
) o WHERE o.owner = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
ORDER BY 1
"""

# Memberships, direct and through others, whether or not they are inherited: SET ROLE reaches them.
MEMBERSHIPS = """
WITH RECURSIVE reach(oid) AS (
  SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.member
   WHERE r.rolname = current_user
  UNION
  SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN reach ON reach.oid = m.member)
SELECT r.rolname::pg_catalog.text AS name,
       r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication AS powerful,
       EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relowner = r.oid)
         OR EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspowner = r.oid)
         OR EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.proowner = r.oid)
         OR EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datdba = r.oid) AS owner
  FROM reach JOIN pg_catalog.pg_roles r ON r.oid = reach.oid ORDER BY 1
"""

CREATABLE = r"""
SELECT pg_catalog.quote_ident(n.nspname) AS name FROM pg_catalog.pg_namespace n
 WHERE n.nspname !~ '^pg_(toast_)?temp_' AND pg_catalog.has_schema_privilege(n.oid, 'CREATE') ORDER BY 1
"""

SETTINGS = """
SELECT pg_catalog.split_part(setting, '=', 1) AS name, s.setrole <> 0::pg_catalog.oid AS of_role,
       s.setdatabase <> 0::pg_catalog.oid AS of_database
  FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS setting
 WHERE (s.setrole = 0::pg_catalog.oid
        OR s.setrole = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user))
   AND (s.setdatabase = 0::pg_catalog.oid
        OR s.setdatabase = (SELECT d.oid FROM pg_catalog.pg_database d
                             WHERE d.datname = pg_catalog.current_database()))
 ORDER BY 1, 2, 3
"""


# Who can write there can say who a tenant is; who can read there knows all verifiers.
RULES = """
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = 'partywall' AND c.relname = 'tenants'
     AND (pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
          OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE')))
"""


async def check_facts(
    connection: CatalogConnection, server: ServerAddress, own: bool = False, schemas: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """What is wrong with the role and the database of `connection`, the critical first. own: the database is one
    tenant's, whose role may own what is in it. schemas: the first is one tenant's, whose role may own what is in it and
    read the others. Errors: asyncpg.PostgresError.
    """
    row = await connection.fetchrow(ROLE)
    if row is None:
        return (Finding("role.unknown", "critical", "the login role is not in pg_roles", "log in as an ordinary role"),)
    found = [*_of_role(row, server), *_of_database(row)]
    found += _of_memberships(await connection.fetch(MEMBERSHIPS), row["name"], own)
    if schemas:
        found = [one for one in found if one.name != "database.temporary"]
        found += [] if row["rolsuper"] else await own_findings(connection, row["name"])
        found += await schema_findings(connection, row["name"], schemas)
        found += _of_settings(await connection.fetch(SETTINGS), row)
    elif own:
        found = [one for one in found if one.name not in ALLOWED]
        found += [] if row["rolsuper"] else await own_findings(connection, row["name"])
    else:
        found += await _of_shared(connection, row)
        found += _of_settings(await connection.fetch(SETTINGS), row)
    if not row["rolsuper"] and await connection.fetchval(RULES):
        role = identifier(row["name"])
        text = f"role {role} may read or change partywall.tenants, which says who is a tenant"
        found.append(Finding("rules.reach", "critical", text, f"REVOKE ALL ON partywall.tenants FROM PUBLIC, {role};"))
    return tuple(sorted(found, key=lambda one: one.severity == "warning"))


async def _of_shared(connection: CatalogConnection, row: Record) -> list[Finding]:
    """What the role of a shared database must not have, besides."""
    found: list[Finding] = []
    found += _of_owned([one["name"] for one in await connection.fetch(OWNED)], row["name"])
    if not row["rolsuper"]:  # who may create everywhere has been told why
        found += [
            Finding(
                "schema.create",
                "critical",
                f"role {identifier(row['name'])} may create objects in schema {one['name']}",
                f"REVOKE CREATE ON SCHEMA {one['name']} FROM PUBLIC, {identifier(row['name'])};",
            )
            for one in await connection.fetch(CREATABLE)
        ]
    return found


def _of_role(row: Record, server: ServerAddress) -> Iterator[Finding]:
    role = identifier(row["name"])
    if server.role != row["name"] or row["session"] != row["name"]:
        yield Finding(
            "role.other",
            "critical",
            f"logged in as {identifier(row['session'])} acting as {role}, not as {identifier(server.role)}",
            f"ALTER ROLE {identifier(row['session'])} RESET role;",
        )
    for attribute, (word, meaning) in ATTRIBUTES.items():
        if row[attribute]:
            yield Finding(f"role.{word.lower()}", "critical", f"role {role} {meaning}", f"ALTER ROLE {role} NO{word};")


def _of_database(row: Record) -> Iterator[Finding]:
    database, role = identifier(row["database"]), identifier(row["name"])
    major = row["version"] // 10000
    if not OLDEST <= major <= NEWEST:
        yield Finding(
            "server.version",
            "critical",
            f"PostgreSQL {major} is not supported; supported are PostgreSQL {OLDEST} to {NEWEST}",
            f"upgrade the server to PostgreSQL {NEWEST}",
        )
    if row["encoding"] != "UTF8":
        yield Finding(
            "database.encoding",
            "critical",
            f"database {database} has encoding {row['encoding']}: its bytes may mean something else than was parsed",
            "move the data to a database made with ENCODING 'UTF8' TEMPLATE template0",
        )
    if row["create_schema"] and not row["rolsuper"]:
        yield Finding(
            "database.create",
            "critical",
            f"role {role} may create schemas in database {database}",
            f"REVOKE CREATE ON DATABASE {database} FROM PUBLIC, {role};",
        )
    if row["temporary"] and not row["rolsuper"]:
        yield Finding(
            "database.temporary",
            "warning",
            f"role {role} may create temporary objects in database {database}",
            f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC, {role};",
        )


def _of_owned(names: list[str], role: str) -> Iterator[Finding]:
    if names:
        listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        yield Finding(
            "role.owner",
            "critical",
            f"role {identifier(role)} owns {listed}",
            f"REASSIGN OWNED BY {identifier(role)} TO some_owner;",
        )


def _of_memberships(rows: list[Record], role: str, own: bool) -> Iterator[Finding]:
    for row in rows:
        name = row["name"]
        if name.startswith("pg_"):
            why = "a predefined role with privileges beyond any tenant's"
        elif row["powerful"]:
            why = "which has attributes that break isolation"
        elif row["owner"] and not own:
            why = "which owns objects"
        else:
            why = ""
        yield Finding(
            "role.member",
            "critical" if why else "warning",
            f"role {identifier(role)} is a member of {identifier(name)}" + (f", {why}" if why else ""),
            f"REVOKE {identifier(name)} FROM {identifier(role)};",
        )


def _of_settings(rows: list[Record], role: Record) -> Iterator[Finding]:
    for row in rows:
        name = row["name"]
        if name.lower() in HARMLESS or name.startswith(HARMLESS_PREFIXES):
            continue
        of = identifier(role["name"]) if row["of_role"] else "ALL"
        where = f" IN DATABASE {identifier(role['database'])}" if row["of_database"] else ""
        yield Finding(
            "role.setting",
            "critical" if name.lower() in DANGEROUS else "warning",
            f"setting {name} is set for role {of}{where}",
            f"ALTER ROLE {of}{where} RESET {name};",
        )
