"""The SQL of policies at the server: once for a database, and for each tenant's role. Idempotent, for a superuser.

Promises: afterwards a tenant's role reaches its own rows of what the rules call the tenants', reads what is shared, and
nothing else. What stands already as it must is left out, so that a second run locks nothing; nothing is dropped but an
older version of our own policy. Pure: what the database holds is an argument. Decision 0079.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from proxy.catalog.finding import identifier
from proxy.catalog.grants import Grants
from proxy.catalog.model import Catalog, Relation
from proxy.catalog.walls import BODY, FUNCTION, GROUP, POLICY, condition
from proxy.doctor.provision import role_of, text_of
from proxy.sql.world import SYSTEM_SCHEMAS, Visible, World
from proxy.tenancy.derived import SEED, own_sequence
from proxy.tenancy.policy import PROXY_SCHEMA, Grant, Policy

INVOKER = 15  # the first major whose views can have the rights of who asks
ROWS = ("SELECT", "INSERT", "UPDATE", "DELETE")
NO_LOGIN = "NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
# Who may write the table says which rows are whose, so nobody may but superusers.
MADE = f"""\
CREATE SCHEMA IF NOT EXISTS partywall;
CREATE TABLE IF NOT EXISTS partywall.tenant_keys (
  role name NOT NULL, kind text NOT NULL, value text NOT NULL, PRIMARY KEY (role, kind), UNIQUE (kind, value)
);
REVOKE ALL ON partywall.tenant_keys FROM PUBLIC;
CREATE OR REPLACE FUNCTION partywall.tenant_key(kind text) RETURNS text
  LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER AS $${BODY}$$;
GRANT EXECUTE ON FUNCTION {FUNCTION} TO PUBLIC;"""


def tenant_relations(policy: Policy, catalog: Catalog) -> list[Visible]:
    """The tables that must have our policy."""
    found = (seen for _, seen in _seen(policy, catalog))
    return [seen for seen in found if seen is not None and seen.access == "tenant"]


def walls(policy: Policy, catalog: Catalog, grants: Grants) -> str:
    """What all tenants of a database have in common. policy: any of theirs."""
    lines = [
        f"DO $provision$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles"
        f" WHERE rolname = {text_of(GROUP)}) THEN CREATE ROLE {GROUP}; END IF; END $provision$;",
        f"ALTER ROLE {GROUP} {NO_LOGIN};",
        f"REVOKE ALL ON DATABASE {identifier(catalog.database)} FROM PUBLIC;",
        MADE,
        f"GRANT USAGE ON SCHEMA {PROXY_SCHEMA} TO {GROUP};",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC;",
    ]
    seen = list(_seen(policy, catalog))
    used = {relation.schema for relation, one in seen if one is not None}
    used |= {schema for schema, _ in policy.sequences} | {one.schema for one in policy.functions}
    lines += [f"GRANT USAGE ON SCHEMA {identifier(schema)} TO {GROUP};" for schema in sorted(used & catalog.schemas)]
    for relation, one in seen:
        lines += _relation(relation, one, catalog, grants)
    shared = [name for name, kind in policy.sequences.items() if kind == "shared" and name in catalog.relations]
    drawn = {*grants.drawn, *(f"{identifier(schema)}.{identifier(name)}" for schema, name in shared)}
    lines += [f"GRANT USAGE ON SEQUENCE {name} TO {GROUP};" for name in sorted(drawn)]
    lines += [f"REVOKE EXECUTE ON ROUTINE {name} FROM PUBLIC;" for name in grants.definers]
    return "\n".join(lines) + "\n"


def tenant_behind(grant: Grant, salt: bytes) -> str:
    """A tenant's role and what it is told of its rows; after the others' `walls`. salt: as for provision()."""
    role = identifier(grant.server.role)
    keys = sorted((grant.wall_keys or {}).items())
    name = text_of(grant.server.role)
    kinds = ", ".join(text_of(kind) for kind, _ in keys)
    pairs = ", ".join(f"({text_of(kind)}, {text_of(value)})" for kind, value in keys)
    rows = ", ".join(f"({name}, {text_of(kind)}, {text_of(value)})" for kind, value in keys)
    lines = [
        *role_of(grant, salt),
        f"GRANT CONNECT, TEMPORARY ON DATABASE {identifier(grant.server.database)} TO {role};",
        f"GRANT {GROUP} TO {role};",
        f"DELETE FROM partywall.tenant_keys WHERE (role = {name} AND kind NOT IN ({kinds}))"
        f" OR (role <> {name} AND (kind, value) IN ({pairs}));",
        f"INSERT INTO partywall.tenant_keys (role, kind, value) VALUES {rows}"
        " ON CONFLICT (role, kind) DO UPDATE SET value = excluded.value;",
    ]
    for (schema, sequence), kind in grant.policy.sequences.items():
        if kind == "per_tenant":
            own = f"{identifier(schema)}.{identifier(own_sequence(sequence, grant.keys[SEED]))}"
            lines += [f"CREATE SEQUENCE IF NOT EXISTS {own};", f"GRANT USAGE, UPDATE ON SEQUENCE {own} TO {role};"]
    return "\n".join(lines) + "\n"


def _seen(policy: Policy, catalog: Catalog) -> Iterator[tuple[Relation, Visible | None]]:
    """Every relation that is somebody's, and what it would be if the walls stood."""
    world = World(replace(policy, isolation="row", second_wall=False), catalog)
    for (schema, name), relation in sorted(catalog.relations.items()):
        own = schema in SYSTEM_SCHEMAS or schema == PROXY_SCHEMA or schema.startswith("pg_")
        if not own and relation.kind in "rpvmf":
            yield relation, world.relation(schema, name)


def _relation(relation: Relation, seen: Visible | None, catalog: Catalog, grants: Grants) -> Iterator[str]:
    full = f"{identifier(relation.schema)}.{identifier(relation.name)}"
    allowed: tuple[str, ...] = ()
    if seen is not None and not (seen.confined and relation.kind == "m"):
        allowed = ROWS if seen.access == "tenant" else ROWS[:1]
    if seen is not None and seen.access == "tenant" and seen.column is not None:
        wanted = (seen.column.name, seen.key)
        if relation.wall != wanted:
            rows = condition(identifier(seen.column.name), seen.column.type, seen.key)
            yield f"ALTER TABLE {full} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
            yield f"DROP POLICY IF EXISTS {POLICY} ON {full};"
            yield f"CREATE POLICY {POLICY} ON {full} FOR ALL TO PUBLIC USING {rows} WITH CHECK {rows};"
    bypasses = not relation.security_invoker and relation.owner in catalog.bypassing
    if seen is not None and seen.access == "view" and relation.kind == "v" and bypasses and catalog.major >= INVOKER:
        yield f"ALTER VIEW {full} SET (security_invoker = true);"
    for holder, held in (("PUBLIC", grants.everybody), (GROUP, grants.group)):
        surplus = sorted(held.get(relation.oid, frozenset()) - set(allowed))
        if surplus:
            yield f"REVOKE {', '.join(surplus)} ON {full} FROM {holder};"
    if allowed and not grants.group.get(relation.oid):  # what an operator has taken from them is not given back
        yield f"GRANT {', '.join(allowed)} ON {full} TO {GROUP};"
