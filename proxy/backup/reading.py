"""How a table's rows are read: by queries where tenants share it, and without any where the tenant defines it.

A server that plans a query evaluates what is constant in the expressions of a table's indexes and statistics: functions
of whoever made those would run as whoever reads, in a transaction that only reads, too. COPY of a table by its name
plans nothing. So that is all that may be done with tables in modes schema and database. It knows no partitions and no
children: each table that holds rows is copied by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from proxy.backup.pieces import rows_of
from proxy.backup.refusal import Refused
from proxy.backup.rowhash import CAST
from proxy.backup.selection import Kept
from proxy.backup.snapshot import check_same
from proxy.catalog.finding import identifier
from proxy.catalog.model import Catalog, Relation
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

WIDTH = 100  # bytes of a row, about, of tables that nobody has counted yet
ESTIMATE = f"""
SELECT COALESCE(pg_catalog.sum(CASE WHEN c.reltuples < 0 THEN pg_catalog.pg_relation_size(c.oid) / {WIDTH}
                                    ELSE c.reltuples END), 0)::pg_catalog.int8
  FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::pg_catalog.oid[])
"""

Take = Callable[[bytes], Coroutine[Any, Any, None]]


def defined(kept: Kept) -> bool:
    """Are the table and all that is about it the tenant's own making?"""
    return kept.column is None


def parts(catalog: Catalog, kept: Kept) -> tuple[Kept, ...]:
    """The tables that hold its rows: itself, or the partitions of a partitioned one, and theirs. Refused where one is a
    foreign table, which only a query reads.
    """
    if kept.relation.kind != "p":
        return (kept,)
    below: dict[int, list[Relation]] = {}
    for one in sorted(catalog.relations.values(), key=lambda one: (one.schema, one.name)):
        for parent in one.parents if one.is_partition else ():
            below.setdefault(parent, []).append(one)

    def leaves(relation: Relation) -> list[Relation]:
        if relation.kind != "p":
            return [relation]
        return [leaf for one in below.get(relation.oid, ()) for leaf in leaves(one)]

    found = tuple(replace(kept, relation=one) for one in leaves(kept.relation))
    if away := [one.full for one in found if one.relation.kind != "r"]:
        raise Refused([f"{one} is a foreign table, which is not read in its parent's place" for one in away])
    return found


async def copied(
    connection: CatalogConnection, grant: Grant, catalog: Catalog, kept: Kept, take: Take, csv: bool = False
) -> None:
    """The tenant's rows of a table, as whole rows of COPY text. csv: instead as CSV with a header, cut anywhere.

    The table must be locked. Refused where a part is not what the catalog has.
    """
    form: dict[str, Any] = {"format": "csv", "null": ""} if csv else {}
    header: dict[str, Any] = {"header": True} if csv else {}
    if not defined(kept):
        await connection.copy_from_query(kept.rows(grant), output=take, **form, **header)
        return
    some = parts(catalog, kept)
    for one in some:
        await check_same(connection, one)
        await connection.copy_from_table(
            one.relation.name,
            schema_name=one.relation.schema,
            columns=[column.name for column in kept.columns],
            output=take,
            **form,
            **header,
        )
        header = {}
    if csv and not some:
        names = ", ".join(f"NULL AS {identifier(column.name)}" for column in kept.columns)
        await connection.copy_from_query(f"SELECT {names} WHERE false", output=take, **form, **header)


async def counted(connection: CatalogConnection, grant: Grant, catalog: Catalog, kept: Kept) -> int:
    """How many rows of the tenant a table has; where it defines the table, by reading a column of them."""
    if not defined(kept):
        return int(await connection.fetchval(f"SELECT pg_catalog.count(*) FROM ({kept.rows(grant)}) q"))
    count = 0

    async def take(rows: bytes) -> None:
        nonlocal count
        count += rows_of(rows)

    short = [one for one in kept.columns if one.type in CAST] or list(kept.columns)
    await copied(connection, grant, catalog, replace(kept, columns=tuple(short[:1])), take)
    return count


async def expected(connection: CatalogConnection, grant: Grant, catalog: Catalog, kept: Kept) -> int:
    """What the server guesses of that: its planner, or where that must not be asked what it knows of the table."""
    if defined(kept):
        oids = [one.relation.oid for one in parts(catalog, kept)]
        return int(await connection.fetchval(ESTIMATE, oids))
    plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {kept.rows(grant)}"))
    return int(plan[0]["Plan"]["Plan Rows"])
