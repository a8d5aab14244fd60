"""Fill a Catalog from a live server: a few big queries in one REPEATABLE READ snapshot.

Everything the role can see is taken, whatever its privileges; other sessions' temporary objects are left out.
`fingerprint` is the cheap question whether anything may have changed since. Runs on a connection of catalog.connect,
whose search_path is pg_catalog; decides nothing. Sources: PostgreSQL documentation, chapter "System Catalogs".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from proxy.catalog import queries
from proxy.catalog.connect import require_supported
from proxy.catalog.layers import Layered, Part
from proxy.catalog.model import (
    Cast,
    Catalog,
    Collation,
    Column,
    ForeignKey,
    Function,
    Key,
    Operator,
    Relation,
    Type,
)
from proxy.catalog.walls import POLICIES, wall_of

if TYPE_CHECKING:
    from asyncpg import Record

    from proxy.catalog.connect import CatalogConnection


SYSTEM = ("pg_catalog", "information_schema")
# pg_get_viewdef locks what it prints, and the connection that a tenant's part is read over is its neighbours', too.
LOCKED = "300ms"
NO_TYPES: Mapping[int, Type] = MappingProxyType({})


async def introspect(
    connection: CatalogConnection, version: int, own: bool = False, schemas: Sequence[str] = ()
) -> Catalog:
    """The database's Catalog, numbered `version`. own: without relations, of which a tenant may make as many as it
    likes in a database of its own, and which nobody asks for there. schemas: only what is in these and in the server's
    own, where each tenant has a schema.

    Errors: asyncpg.PostgresError, OSError; ConfigurationError for PostgreSQL before 14 or after 18.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        facts = await connection.fetchrow(queries.DATABASE)
        if facts is None:  # a query without FROM has one row
            raise AssertionError("the server returned no row")
        require_supported(facts["version"], facts["database"])
        members = {(row["catalog"], row["object"]): row["name"] for row in await connection.fetch(queries.MEMBERS)}
        read = _Reader(connection, (*SYSTEM, *schemas) if schemas else ())
        relations = [] if own else await _relations(read)
        types = _types(await read.within(queries.TYPES), members)
        functions = _functions(await read.within(queries.FUNCTIONS), members)
        operators = _operators(await read.within(queries.OPERATORS))
        casts = [Cast(*row) for row in await connection.fetch(queries.CASTS)]
        collations = [Collation(*row) for row in await read.within(queries.COLLATIONS, "nspname")]
        ordering = await connection.fetch(queries.ORDERING_OPERATORS)
        bypassing = await connection.fetch(queries.BYPASSING)
        names = await read.within(queries.SCHEMAS, "name")
        extensions = await connection.fetch(queries.EXTENSIONS)
        stored = await connection.fetch(queries.STORED) if own else []
    return Catalog(
        version=version,
        server_version=facts["version"],
        database=facts["database"],
        relations={(one.schema, one.name): one for one in relations},
        types=types,
        functions=functions,
        operators=operators,
        casts={(one.source, one.target): one for one in casts if {one.source, one.target} <= types.keys()},
        collations={one.oid: one for one in collations},
        ordering_operators=frozenset(row["operator"] for row in ordering),
        schemas=frozenset(row["name"] for row in names),
        extensions={row["name"]: row["version"] for row in extensions},
        bypassing=frozenset(row["name"] for row in bypassing),
        stored_calls=frozenset(row["name"] for row in stored),
    )


async def read_part(connection: CatalogConnection, schema: str, shared: Catalog) -> Part:
    """What is in this schema, to lie over the picture of what all tenants of the database share. Errors:
    asyncpg.PostgresError, OSError.
    """
    return (await read_parts(connection, [schema], shared))[schema]


async def read_parts(connection: CatalogConnection, schemas: Sequence[str], shared: Catalog) -> dict[str, Part]:
    """The same of each of these, which share nothing but that, in as many questions. Who locks a view of its own keeps
    neighbours waiting no longer than LOCKED.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(f"SET LOCAL lock_timeout TO '{LOCKED}'")
        members = {(row["catalog"], row["object"]): row["name"] for row in await connection.fetch(queries.MEMBERS)}
        read = _Reader(connection, schemas)
        relations: dict[str, list[Relation]] = defaultdict(list)
        for one in await _relations(read):
            relations[one.schema].append(one)
        types = _by_schema(await read.within(queries.TYPES))
        functions = _by_schema(await read.within(queries.FUNCTIONS))
        operators = _by_schema(await read.within(queries.OPERATORS))
        casts = [Cast(*row) for row in await connection.fetch(queries.CASTS)]
        collations = _by_schema(await read.within(queries.COLLATIONS, "nspname"), "nspname")
        present = {row["name"] for row in await read.within(queries.SCHEMAS, "name")}
    found = {}
    for schema in schemas:
        own = _types(types[schema], members, shared.types)
        known = Layered(own, shared.types)
        found[schema] = Part(
            schema,
            relations={(one.schema, one.name): one for one in relations[schema]},
            types=own,
            functions=_functions(functions[schema], members),
            operators=_operators(operators[schema]),
            casts={
                (one.source, one.target): one
                for one in casts
                if (one.source in own or one.target in own) and one.source in known and one.target in known
            },
            collations={row["oid"]: Collation(*row) for row in collations[schema]},
            present=schema in present,
        )
    return found


def _by_schema(rows: Iterable[Record], column: str = "schema") -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return found


async def part_fingerprint(connection: CatalogConnection, schema: str) -> str:
    """As fingerprint(), of what read_part reads."""
    relations = await connection.fetchval(queries.FINGERPRINTED_RELATIONS, [schema])
    row = await connection.fetchrow(queries.PART_FINGERPRINT, [schema], relations)
    return "" if row is None else str(row[1])


async def part_fingerprints(connection: CatalogConnection, schemas: Sequence[str]) -> Mapping[str, str]:
    """The same of each of these, in one go; of one that is not there, none."""
    return {str(schema): str(mark) for schema, mark in await connection.fetch(queries.PART_FINGERPRINTS, list(schemas))}


async def fingerprint(connection: CatalogConnection, schemas: Sequence[str] = ()) -> str:
    """A text that changes whenever a row of a catalog that introspect reads is inserted, updated or deleted; cheap.
    schemas: as for introspect.
    """
    if schemas:
        return str(await connection.fetchval(queries.SCOPED_FINGERPRINT, list(schemas)))
    return str(await connection.fetchval(queries.FINGERPRINT))


class _Reader:
    """Queries of one snapshot, of all schemas or of some."""

    def __init__(self, connection: CatalogConnection, schemas: Sequence[str]) -> None:
        self._connection = connection
        self._schemas = list(schemas)

    async def within(self, query: str, column: str = "schema") -> list[Record]:
        """The rows whose column names one of the schemas."""
        if not self._schemas:
            return await self._connection.fetch(query)
        return await self._connection.fetch(queries.scoped(query, column), self._schemas)

    async def of(self, query: str, relations: list[int], column: str = "relation") -> list[Record]:
        """The rows of these relations."""
        if not self._schemas:
            return await self._connection.fetch(query)
        return await self._connection.fetch(queries.scoped(query, column), relations)


async def _relations(read: _Reader) -> list[Relation]:
    rows = await read.within(queries.RELATIONS)
    oids = [row["oid"] for row in rows]
    columns: dict[int, list[Column]] = defaultdict(list)
    for row in await read.of(queries.COLUMNS, oids, "attrelid"):
        relation, *rest = row
        columns[relation].append(Column(*rest))
    keys: dict[int, list[Key]] = defaultdict(list)
    for row in await read.of(queries.KEYS, oids):
        keys[row["relation"]].append(_key(row))
    foreign: dict[int, list[ForeignKey]] = defaultdict(list)
    for row in await read.of(queries.FOREIGN_KEYS, oids):
        foreign[row["relation"]].append(
            ForeignKey(
                row["name"],
                tuple(row["columns"]),
                row["references"],
                tuple(row["referenced"]),
                row["on_delete"],
                row["on_update"],
            )
        )
    parents: dict[int, list[int]] = defaultdict(list)
    for row in await read.of(queries.PARENTS, oids):
        parents[row["relation"]].append(row["parent"])
    triggers: dict[int, list[str]] = defaultdict(list)
    early: set[int] = set()
    for row in await read.of(queries.TRIGGERS, oids):
        triggers[row["relation"]].append(row["name"])
        if row["before"]:
            early.add(row["relation"])
    policies: dict[int, list[Record]] = defaultdict(list)
    for row in await read.of(POLICIES, oids):
        policies[row["relation"]].append(row)
    reads: dict[int, list[int]] = defaultdict(list)
    for row in await read.of(queries.READS, oids):
        reads[row["relation"]].append(row["read"])
    return [
        Relation(
            oid=row["oid"],
            schema=row["schema"],
            name=row["name"],
            kind=row["kind"],
            row_type=row["row_type"],
            columns=tuple(columns[row["oid"]]),
            keys=tuple(keys[row["oid"]]),
            foreign_keys=tuple(foreign[row["oid"]]),
            parents=tuple(parents[row["oid"]]),
            is_partition=row["is_partition"],
            owner=row["owner"],
            definition=row["definition"],
            security_invoker=row["security_invoker"],
            triggers=tuple(triggers[row["oid"]]),
            changes_rows=row["oid"] in early,
            rules=row["rules"],
            row_security=row["row_security"],
            wall=wall_of(policies[row["oid"]]),
            reads=tuple(reads[row["oid"]]),
        )
        for row in rows
    ]


def _key(row: Record) -> Key:
    columns: list[int] = row["columns"][: row["key_columns"]]  # behind them stand INCLUDE columns
    if row["equal"] is not None:
        # A column that is compared by anything but equality does not keep tenants apart; it counts as an expression.
        columns = [number if equal else 0 for number, equal in zip(columns, row["equal"], strict=True)]
    return Key(row["name"], row["kind"], tuple(columns), row["partial"], row["deferrable"], row["valid"])


def _types(
    rows: Iterable[Record], members: dict[tuple[str, int], str], others: Mapping[int, Type] = NO_TYPES
) -> dict[int, Type]:
    """others: what a domain may be made of that is not in these rows."""
    raw = {row["oid"]: row for row in rows}

    def checked(oid: int) -> bool:
        while oid in raw and raw[oid]["kind"] == "d":
            if raw[oid]["checked"]:
                return True
            oid = raw[oid]["base"]
        return oid in others and others[oid].checked

    return {
        oid: Type(
            oid=oid,
            schema=row["schema"],
            name=row["name"],
            kind=row["kind"],
            category=row["category"],
            base=row["base"],
            element=row["element"],
            array=row["array"],
            relation=row["relation"],
            subtype=row["subtype"],
            collation=row["collation"],
            checked=checked(oid),
            preferred=row["preferred"],
            extension=members.get(("type", oid), ""),
        )
        for oid, row in raw.items()
    }


def _operators(rows: Iterable[Record]) -> dict[str, tuple[Operator, ...]]:
    found: dict[str, list[Operator]] = defaultdict(list)
    for row in rows:
        found[row["name"]].append(Operator(*row))
    return {name: tuple(many) for name, many in found.items()}


def _functions(rows: Iterable[Record], members: dict[tuple[str, int], str]) -> dict[str, tuple[Function, ...]]:
    found: dict[str, list[Function]] = defaultdict(list)
    for row in rows:
        values = [*row, members.get(("function", row["oid"]), "")]
        values[4] = tuple(values[4])  # the argument types
        found[row["name"]].append(Function(*values))
    return {name: tuple(many) for name, many in found.items()}
