"""Tables that reference each other in a ring: how their rows are put back nevertheless, and in which order.

A constraint that may be deferred is deferred; else a column that may be NULL is NULL at first and updated after; else
it is refused, with the DDL that would make it possible. Constraints are never switched off. A table that references
itself needs nothing of this: its rows come and go in one statement, and the server looks at its end. Pure. Source:
PostgreSQL documentation, SET CONSTRAINTS.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from proxy.backup.ordering import rings
from proxy.backup.refusal import Refused
from proxy.backup.selection import Reference
from proxy.backup.target import Table
from proxy.catalog.finding import identifier


@dataclass(frozen=True, slots=True)
class Order:
    """tables: their places, those that are referenced first. deferred: constraints in SQL. empty: columns of tables
    that are NULL until all rows are there.
    """

    tables: tuple[int, ...]
    deferred: tuple[str, ...]
    empty: Mapping[int, frozenset[str]]


def unwound(tables: Sequence[Table], links: Sequence[Reference], deferrable: Collection[tuple[int, str]]) -> Order:
    """The order, once every ring is broken. deferrable: table and name of the constraints that may be deferred."""
    held = [one for one in links if one.child is not None and one.parent is not None and one.child != one.parent]
    turned = _in_rings(tables, held)
    late = [one for one in turned if (one.holder.oid, one.key.name) in deferrable]
    held = [one for one in held if one not in late]
    empty: dict[int, frozenset[str]] = {}
    for one in _in_rings(tables, held):
        if one not in _in_rings(tables, held):
            continue  # the ring was broken by another
        column = _loose(tables, one)
        if column is not None:
            assert one.child is not None
            empty[one.child] = empty.get(one.child, frozenset()) | {column}
            held.remove(one)
    if stuck := _in_rings(tables, held):
        raise Refused([_remedy(tables, one) for one in stuck])
    groups = rings(_edges(tables, held))
    deferred = tuple(sorted({f"{identifier(one.holder.schema)}.{identifier(one.key.name)}" for one in late}))
    return Order(tuple(number for group in groups for number in group), deferred, empty)


def _edges(tables: Sequence[Table], links: Sequence[Reference]) -> dict[int, list[int]]:
    edges: dict[int, list[int]] = {number: [] for number in range(len(tables))}
    for one in links:
        if one.child is not None and one.parent is not None:
            edges[one.child].append(one.parent)
    return edges


def _in_rings(tables: Sequence[Table], links: Sequence[Reference]) -> list[Reference]:
    """Those of the foreign keys that lie in a ring."""
    group = {number: turn for turn, some in enumerate(rings(_edges(tables, links))) for number in some}
    return [one for one in links if group[one.child or 0] == group[one.parent or 0]]


def _loose(tables: Sequence[Table], one: Reference) -> str | None:
    """A column of the foreign key that may be NULL for a while."""
    table = tables[one.child or 0]
    fixed = {column.name for column in table.match}
    if table.kept.column is not None:
        fixed.add(table.kept.column.name)
    for name, _ in one.columns:
        column = one.holder.column(name)
        if table.match and column is not None and not column.not_null and name not in fixed:
            return name
    return None


def _remedy(tables: Sequence[Table], one: Reference) -> str:
    where = f"{identifier(one.holder.schema)}.{identifier(one.holder.name)}"
    return (
        f"{tables[one.child or 0].title} and {tables[one.parent or 0].title} reference each other, and neither can come"
        f" first: ALTER TABLE {where} ALTER CONSTRAINT {identifier(one.key.name)} DEFERRABLE INITIALLY IMMEDIATE;"
    )
