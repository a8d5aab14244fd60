"""Facts about the role and the database that must hold before anything is served (architecture, decision 10).

A proxy cannot confine a role that is above the law: `critical` findings mean that nothing may be served, `warning`
findings are told and tolerated. Every finding has the statement that becomes possible and the SQL that mends it. Asks
on a connection of catalog.connect; changes nothing. Sources: PostgreSQL documentation, "Role Attributes", "Predefined
Roles", "Privileges"; pg_db_role_setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from proxy.catalog import role_queries
from proxy.catalog.connect import NEWEST, OLDEST
from proxy.catalog.finding import Finding, identifier
from proxy.catalog.neighbours import neighbour_findings
from proxy.catalog.own import ALLOWED, own_findings
from proxy.catalog.own_schema import schema_findings
from proxy.catalog.walls import GROUP, wall_findings

if TYPE_CHECKING:
    from asyncpg import Record

    from proxy.catalog.connect import CatalogConnection, ServerAddress

Kind = Literal["shared", "behind", "schema", "own"]  # behind policies: a role of its own in a shared database
Found = list[tuple[str, Finding]]  # with the role that it is about

ATTRIBUTES = {  # -> the word, what it means, what becomes possible
    "rolsuper": (
        "SUPERUSER",
        "is a superuser: no privilege and no policy holds for it",
        "COPY (SELECT '') TO PROGRAM 'cat > /dev/null' -- any program on the server's machine",
    ),
    "rolbypassrls": ("BYPASSRLS", "ignores row security", "SELECT * FROM a_table -- all rows, whatever its policies"),
    "rolcreaterole": (
        "CREATEROLE",
        "can create roles and grant itself other roles",
        "CREATE ROLE another LOGIN -- a way in that nobody knows of",
    ),
    "rolcreatedb": ("CREATEDB", "can create databases, which it would own", "CREATE DATABASE another"),
    "rolreplication": (
        "REPLICATION",
        "can read every change of every database",
        "SELECT pg_catalog.pg_create_physical_replication_slot('another') -- and then read it",
    ),
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


async def check_facts(
    connection: CatalogConnection,
    server: ServerAddress,
    own: bool = False,
    schemas: Sequence[str] = (),
    keys: Mapping[str, str] | None = None,
) -> tuple[Finding, ...]:
    """What is wrong with the role that `connection` is logged in as, and with the database, the critical first. own:
    the database is one tenant's, whose role may own what is in it. schemas: the first is one tenant's, whose role may
    own what is in it and read the others. keys: the tables have policies, for which the role has these. Errors:
    asyncpg.PostgresError.
    """
    row = await connection.fetchrow(
        "SELECT current_user::pg_catalog.text AS name, session_user::pg_catalog.text AS other"
    )
    assert row is not None
    role, session = row["name"], row["other"]
    kind: Kind = "schema" if schemas else "own" if own else "shared" if keys is None else "behind"
    found = await role_facts(connection, {role: schemas[0] if schemas else ""}, kind, schemas[1:])
    walls = [] if keys is None else await wall_findings(connection, role, keys)
    return (*_of_login(role, session, server.role), *walls, *found[role])


async def role_facts(
    connection: CatalogConnection, roles: Mapping[str, str], kind: Kind, shared: Sequence[str] = ()
) -> dict[str, tuple[Finding, ...]]:
    """What is wrong with each of these roles as one that serves tenants, and with the database of `connection`, which
    may be any role's; the critical first. roles: with the schema that is its own, of kind schema. shared: the schemas
    that all read. The number of questions does not depend on the number of roles. Errors: asyncpg.PostgresError.
    """
    names = list(roles)
    rows = {row["name"]: row for row in await connection.fetch(role_queries.ROLES, names)}
    ordinary = [name for name, row in rows.items() if not row["rolsuper"]]
    found: Found = [(name, _unknown(name)) for name in roles if name not in rows]
    for name, row in rows.items():
        found += [(name, one) for one in (*_of_role(row), *_of_database(row)) if _matters(one, kind)]
    found += _of_memberships(await connection.fetch(role_queries.MEMBERSHIPS, names), kind)
    if kind != "own":
        found += _of_owned(await connection.fetch(role_queries.OWNED, names, list(roles.values())), kind)
        found += _of_settings(await connection.fetch(role_queries.SETTINGS, names), rows)
    if kind in ("shared", "behind"):
        found += _of_creatable(await connection.fetch(role_queries.CREATABLE, ordinary))
    found += _of_ways_out(await own_findings(connection, ordinary), kind)
    if kind == "own":
        found += await neighbour_findings(connection, ordinary)
    if kind == "schema":
        found += await schema_findings(connection, {name: roles[name] for name in rows}, shared)
    for row in await connection.fetch(role_queries.RULES, names):
        role = identifier(row["role"])
        text = f"role {role} may read or change partywall.tenants, which says who is a tenant"
        remedy = f"REVOKE ALL ON partywall.tenants FROM PUBLIC, {role};"
        found.append((row["role"], Finding("rules.reach", "critical", text, remedy, "TABLE partywall.tenants")))
    sorted_by_role: dict[str, list[Finding]] = {name: [] for name in roles}
    for name, one in found:
        sorted_by_role[name].append(one)
    return {
        name: tuple(sorted(many, key=lambda one: one.severity == "warning")) for name, many in sorted_by_role.items()
    }


def _unknown(role: str) -> Finding:
    text = f"there is no role {identifier(role)}"
    return Finding("role.unknown", "critical", text, f"CREATE ROLE {identifier(role)} LOGIN; and what it needs")


def _matters(finding: Finding, kind: Kind) -> bool:
    """Tenants with a role of their own may make temporary objects; in a database of their own, what they like."""
    temporary = ("database.temporary",)
    return finding.name not in {"shared": (), "behind": temporary, "schema": temporary, "own": ALLOWED}[kind]


def _of_login(role: str, session: str, wanted: str) -> Iterator[Finding]:
    if wanted != role or session != role:
        yield Finding(
            "role.other",
            "critical",
            f"logged in as {identifier(session)} acting as {identifier(role)}, not as {identifier(wanted)}",
            f"ALTER ROLE {identifier(session)} RESET role;",
            "SELECT current_user -- the privileges are another's, and RESET ROLE changes them",
        )


def _of_role(row: Record) -> Iterator[Finding]:
    role = identifier(row["name"])
    for attribute, (word, meaning, attack) in ATTRIBUTES.items():
        if row[attribute]:
            text, remedy = f"role {role} {meaning}", f"ALTER ROLE {role} NO{word};"
            yield Finding(f"role.{word.lower()}", "critical", text, remedy, attack)


def _of_database(row: Record) -> Iterator[Finding]:
    database, role = identifier(row["database"]), identifier(row["name"])
    major = row["version"] // 10000
    if not OLDEST <= major <= NEWEST:
        yield unsupported(major)
    if row["encoding"] != "UTF8":
        new = identifier(f"{row['database']}_utf8")
        yield Finding(
            "database.encoding",
            "critical",
            f"database {database} has encoding {row['encoding']}: its bytes may mean something else than was parsed",
            f"CREATE DATABASE {new} ENCODING 'UTF8' TEMPLATE template0; -- pg_dump -E UTF8 the one into the other",
            r"SELECT E'\x83\x5C' -- one character or two, of which one is a backslash",
        )
    if row["create_schema"] and not row["rolsuper"]:
        yield Finding(
            "database.create",
            "critical",
            f"role {role} may create schemas in database {database}",
            f"REVOKE CREATE ON DATABASE {database} FROM PUBLIC, {role};",
            "CREATE SCHEMA another -- in which names are found that the proxy does not know",
        )
    if row["temporary"] and not row["rolsuper"]:
        yield Finding(
            "database.temporary",
            "warning",
            f"role {role} may create temporary objects in database {database}",
            f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC, {role};",
            "CREATE TEMPORARY TABLE a_table (a int) -- is found before the real one, by functions too",
        )


def unsupported(major: int) -> Finding:
    """Of a server that is too old or too new."""
    return Finding(
        "server.version",
        "critical",
        f"PostgreSQL {major} is not supported; supported are PostgreSQL {OLDEST} to {NEWEST}",
        f"upgrade the server to PostgreSQL {NEWEST}",
        "SELECT … -- what the server takes for something else than the proxy's grammar and tables of functions say",
    )


def _of_owned(rows: list[Record], kind: Kind) -> Iterator[tuple[str, Finding]]:
    """One for each role."""
    owned: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        owned.setdefault(row["role"], []).append((row["kind"], row["name"]))
    for role, many in owned.items():
        listed = ", ".join(f"{what.lower()} {name}" for what, name in many[:5])
        listed += f" and {len(many) - 5} more" if len(many) > 5 else ""
        given = f"REASSIGN OWNED BY {identifier(role)} TO some_owner;"
        if kind == "schema":  # what is in its schema it shall keep
            given = " ".join(f"ALTER {what} {name} OWNER TO some_owner;" for what, name in many)
        what, name = many[0]
        attack = f"ALTER ROUTINE {name} SECURITY DEFINER -- or makes it another"
        if what != "ROUTINE":
            attack = f"GRANT ALL ON {what} {name} TO PUBLIC -- or drops it"
        yield role, Finding("role.owner", "critical", f"role {identifier(role)} owns {listed}", given, attack)


def _of_creatable(rows: list[Record]) -> Iterator[tuple[str, Finding]]:
    for row in rows:
        role, name = identifier(row["role"]), row["name"]
        text = f"role {role} may create objects in schema {name}"
        remedy = f"REVOKE CREATE ON SCHEMA {name} FROM PUBLIC, {role};"
        attack = f"CREATE TABLE {name}.another () -- or a function that others call"
        yield row["role"], Finding("schema.create", "critical", text, remedy, attack)


def _of_ways_out(found: Found, kind: Kind) -> Iterator[tuple[str, Finding]]:
    """Where the proxy is the wall it calls no function that is not on its list; databases are told of with what is
    owned.
    """
    for role, one in found:
        if kind in ("own", "schema") or one.name != "role.databases":
            yield role, replace(one, severity="warning") if kind == "shared" else one


def _of_memberships(rows: list[Record], kind: Kind) -> Iterator[tuple[str, Finding]]:
    """Behind policies there is one group that a role has its privileges from, and it is in no other."""
    for row in rows:
        role, name = identifier(row["role"]), row["name"]
        if kind == "behind" and name == GROUP and not row["powerful"] and not row["owner"]:
            continue
        if name.startswith("pg_"):
            why = "a predefined role with privileges beyond any tenant's"
        elif row["powerful"]:
            why = "which has attributes that break isolation"
        elif row["owner"] and kind != "own":
            why = "which owns objects"
        elif kind == "behind":
            why = f"and behind policies it may be one of {GROUP} only"
        else:
            why = ""
        yield (
            row["role"],
            Finding(
                "role.member",
                "critical" if why else "warning",
                f"role {role} is a member of {identifier(name)}" + (f", {why}" if why else ""),
                f"REVOKE {identifier(name)} FROM {role};",
                f"SET ROLE {identifier(name)} -- and then whatever that may",
            ),
        )


def _of_settings(rows: list[Record], roles: Mapping[str, Record]) -> Iterator[tuple[str, Finding]]:
    for row in rows:
        name = row["name"]
        if name.lower() in HARMLESS or name.startswith(HARMLESS_PREFIXES):
            continue
        for role in (row["role"],) if row["role"] else roles:
            of = identifier(row["role"]) if row["role"] else "ALL"
            where = f" IN DATABASE {identifier(roles[role]['database'])}" if row["of_database"] else ""
            yield (
                role,
                Finding(
                    "role.setting",
                    "critical" if name.lower() in DANGEROUS else "warning",
                    f"setting {name} is set for role {of}{where}",
                    f"ALTER ROLE {of}{where} RESET {name};",
                    f"SHOW {name} -- statements mean something else than they say",
                ),
            )
