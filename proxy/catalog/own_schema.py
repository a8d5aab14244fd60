"""Facts about the roles of tenants with a schema of their own: they may do there what they like, read what is shared,
and reach nothing else of the database.

The role is the wall between two tenants of one database: whatever a statement was taken for, the server lets it touch
no other schema. So these are critical findings. Source: PostgreSQL documentation, "Privileges", "Schemas".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from proxy.catalog import role_queries
from proxy.catalog.finding import Finding, identifier

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

MENDED = 180000  # from here on deferred triggers run as the role that has queued them
PROVISION = "run what `partywall provision` prints"
WRITES = {  # what may be done -> how it is shown
    "INSERT": "INSERT INTO {} SELECT * FROM {} -- what others read then",
    "UPDATE": "UPDATE {} SET … -- what others read then",
    "DELETE": "DELETE FROM {}",
    "TRUNCATE": "TRUNCATE {}",
    "TRIGGER": "CREATE TRIGGER another BEFORE UPDATE ON {} FOR EACH ROW"
    " EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger() -- or another, which others run",
    "MAINTAIN": "LOCK TABLE {} -- everybody waits",
    "REFERENCES": "CREATE TABLE another (a … REFERENCES {}) -- what it refers to cannot be deleted any more",
    "USAGE": "SELECT pg_catalog.nextval('{}') -- the numbers tell what others drew",
}


async def schema_findings(
    connection: CatalogConnection, roles: Mapping[str, str], shared: Sequence[str]
) -> list[tuple[str, Finding]]:
    """What these roles can reach beyond each its schema, and beyond reading the shared ones; each with its role.
    Errors: asyncpg.PostgresError.
    """
    names, schemas, readable = list(roles), list(roles.values()), list(shared)
    found = []
    for row in await connection.fetch(role_queries.OWN, names, schemas):
        if not row["usable"]:
            schema = identifier(roles[row["role"]])
            what = "may not use" if row["present"] else "has no"
            text = f"role {identifier(row['role'])} {what} schema {schema}"
            attack = f"TABLE {schema}.a_table -- fails for its tenant, and names are looked for in shared schemas"
            found.append((row["role"], Finding("schema.own", "critical", text, PROVISION, attack)))
    for row in await connection.fetch(role_queries.REACHED, names, schemas, readable):
        role, schema = identifier(row["role"]), identifier(row["name"])
        what = "create objects in" if row["creates"] else "use"
        revoked = "CREATE" if row["creates"] else "USAGE"
        text = f"role {role} may {what} schema {schema}, which is not its own"
        remedy = f"REVOKE {revoked} ON SCHEMA {schema} FROM PUBLIC, {role};"
        attack = f"SELECT pg_catalog.to_regclass('{schema}.a_table') -- tells whether it is there"
        if row["creates"]:
            attack = f"CREATE TABLE {schema}.another () -- in others' sight"
        found.append((row["role"], Finding("schema.reach", "critical", text, remedy, attack)))
    for row in await connection.fetch(role_queries.WRITABLE, names, schemas, readable):
        role, name, may = identifier(row["role"]), row["name"], row["privileges"]
        shown = next((one for verb, one in WRITES.items() if verb in may), "")
        text = f"role {role} may change {name}, which others read"
        remedy = f"REVOKE ALL ON {name} FROM PUBLIC, {role};"
        if row["sequence"]:
            shown = WRITES["USAGE"]
        else:
            remedy += f" GRANT SELECT ON {name} TO {role};"
        found.append((row["role"], Finding("schema.write", "critical", text, remedy, shown.replace("{}", name))))
    for row in await connection.fetch(role_queries.DEFINERS, names, schemas, readable):
        role, name = identifier(row["role"]), row["name"]
        text = f"role {role} may call {name}, which acts as its owner"
        remedy = f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC, {role};"
        attack = f"SELECT {name.partition('(')[0]}(…)"
        found.append((row["role"], Finding("function.definer", "critical", text, remedy, attack)))
    for row in await connection.fetch(role_queries.KEYS, names, schemas, readable):
        if row["cast"] or row["version"] < MENDED:
            whom = f"the owner of {row['shared']}" if row["cast"] else "whoever deletes or updates there"
            text = f"table {row['name']} references {row['shared']}: code of the tenant's may run as {whom}"
            remedy = f"ALTER TABLE {row['name']} DROP CONSTRAINT {row['key']};"
            severity: Literal["critical", "warning"] = "critical" if row["cast"] else "warning"
            found.append((row["role"], Finding("schema.key", severity, text, remedy)))
    return found
