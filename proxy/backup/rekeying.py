"""Which columns hold a tenant's keys, and which follow a key that is given anew.

A tenant's key stands in the tenant columns, and wherever a foreign key carries it: `tenants.slug` holds the key that
`notes.tenant` references. A surrogate key that is given anew is followed through foreign keys in the same way. Only
foreign keys say so; a column that merely happens to hold the same number does not. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from proxy.backup.manifest import Manifest
from proxy.backup.refusal import Refused
from proxy.backup.selection import Reference
from proxy.backup.target import Table
from proxy.catalog.model import Key
from proxy.tenancy.policy import Grant

Place = tuple[int, str]  # a table, by its place in the order, and a column
Pair = tuple[Place, Place]  # a column, and the one that it references

NUMBERS = {21: "int2", 23: "int4", 20: "int8"}
UUID = 2950


def pairs(links: Iterable[Reference]) -> list[Pair]:
    """Column by column, the foreign keys between the tables."""
    found: list[Pair] = []
    for one in links:
        if one.parent is not None and one.child is not None:
            found += [((one.child, left), (one.parent, right)) for left, right in one.columns]
    return found


def keys(
    manifest: Manifest, grant: Grant, tables: Sequence[Table], linked: Sequence[Pair]
) -> Mapping[Place, tuple[str, str]]:
    """Every column that holds a key of the tenant: the key in the archive, and the one that takes its place."""
    found: dict[Place, tuple[str, str]] = {}
    waiting: list[Place] = []
    for number, table in enumerate(tables):
        column, key = table.kept.column, table.kept.key
        if column is not None and key is not None and table.form.key is not None:
            found[number, column.name] = (manifest.keys[table.form.key], grant.keys[key])
            waiting.append((number, column.name))
    beside: dict[Place, set[Place]] = {}
    for left, right in linked:
        beside.setdefault(left, set()).add(right)
        beside.setdefault(right, set()).add(left)
    while waiting:
        place = waiting.pop()
        for other in beside.get(place, ()):
            if other not in found:
                found[other] = found[place]
                waiting.append(other)
            elif found[other] != found[place]:
                title = tables[other[0]].title
                raise Refused([f"{title}.{other[1]} holds two keys of the tenant, by its foreign keys"])
    return found


def followers(origin: Place, linked: Sequence[Pair]) -> list[Place]:
    """The column, and those that reference it, and those that reference these."""
    found = [origin]
    for place in found:
        found += [left for left, right in linked if right == place and left not in found]
    return found


def global_keys(table: Table, number: int, held: Mapping[Place, tuple[str, str]]) -> list[tuple[Key, tuple[str, ...]]]:
    """The unique keys that another tenant's row could have, and their columns."""
    by_number = {one.number: one.name for one in table.kept.relation.columns}
    given = {one.name for one in table.columns}
    found = []
    for key in table.kept.relation.keys:
        columns = tuple(by_number.get(one, "") for one in key.columns)
        if key.kind == "x" or key.partial or not given.issuperset(columns):
            continue  # what these compare is for the server to say
        if not any((number, column) in held for column in columns):
            found.append((key, columns))
    return found
