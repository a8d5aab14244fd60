"""Which table goes where when a tenant moves, with which columns, and by which key its rows are found again.

What does not fit is told, all of it, before anything is done: the same tables must be there, with the same columns and
types, and nothing may be there that would change rows on their way. The schema in which a tenant's names are looked up
first stands for that at the other place, whatever the two are called. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.backup.refusal import Refused
from proxy.backup.rowhash import found_by
from proxy.backup.selection import Kept
from proxy.catalog.finding import identifier
from proxy.tenancy.policy import Grant

FIRST_OF_USERS = 16384  # the number of the first type that is not the server's own; others may have casts of anybody's
Types = Mapping[tuple[int, int], str]  # the names of types, by type and modifier


@dataclass(frozen=True, slots=True)
class Passage:
    """A table on its way. columns: of both places, the tenant's first. key: name and type of the columns by which a row
    is found again; (): all that is in it. claimed: the type of the tenant's column at the target, where the source has
    none that says whose a row is; each row must have the tenant's key in it then.
    """

    source: Kept
    target: Kept
    columns: tuple[str, ...]
    key: tuple[tuple[str, str], ...]
    claimed: str = ""

    @property
    def title(self) -> str:
        """For people."""
        schema, name = self.source.at
        return name if schema == "public" else f"{schema}.{name}"

    @property
    def place(self) -> int:
        """What names it in the log: the number that the source's server has for it, which no other table ever has."""
        return self.source.relation.oid

    @property
    def names(self) -> str:
        """The columns in SQL."""
        return ", ".join(identifier(one) for one in self.columns)

    @property
    def touched(self) -> str:
        """In SQL, the temporary table of keys at the target."""
        return f"pg_temp.touched_{self.place}"

    @property
    def width(self) -> int:
        """Columns of a key in the log."""
        return len(self.key) or 1

    def whole(self, alias: str) -> str:
        """All that is in a row, as text."""
        return "ROW(" + ", ".join(f"{alias}.{identifier(one)}" for one in self.columns) + ")::pg_catalog.text"

    @property
    def registers(self) -> bool:
        """Is the tenant itself what a row stands for? Then one may be there before it comes."""
        column = self.target.column
        return column is not None and [name for name, _ in self.key] == [column.name]


@dataclass(frozen=True, slots=True)
class Homes:
    """The schemas in which the tenant's names are looked up first. shared: whether tenants share the tables there."""

    here: str = "public"
    there: str = "public"
    shared_here: bool = True
    shared_there: bool = True

    def moved(self, schema: str) -> str:
        """What a schema of the source is called at the target."""
        return self.there if schema == self.here else schema


BOTH_PUBLIC = Homes()


def homes_of(here: Grant, there: Grant) -> Homes:
    """Of a tenant at both places."""
    first, second = here.policy, there.policy
    return Homes(first.path[0], second.path[0], first.shares_tables, second.shares_tables)


def paired(
    source: tuple[Kept, ...], target: tuple[Kept, ...], here: Types, there: Types, homes: Homes = BOTH_PUBLIC
) -> tuple[Passage, ...]:
    """Each of the tenant's tables and the one that takes its rows. Refused with everything that does not fit."""
    waiting = {one.at: one for one in target}
    problems: list[str] = []
    found = []
    for kept in source:
        other = waiting.pop((homes.moved(kept.relation.schema), kept.relation.name), None)
        if other is None:
            problems.append(f"{kept.full} is no table of the tenant at the target")
            continue
        problems += _misfits(kept, other, here, there, homes)
        key = found_by(kept.relation, kept.columns)
        if not (homes.shared_here and homes.shared_there) and any(one.type >= FIRST_OF_USERS for one in key):
            key = ()
        typed = tuple((one.name, here[one.type, one.typmod]) for one in key)
        first = other.column if kept.column is None else None
        names = sorted((one.name for one in kept.columns), key=lambda name: first is not None and name != first.name)
        claimed = "" if first is None else there[first.type, first.typmod]
        found.append(Passage(kept, other, tuple(names), typed, claimed))
    if problems:
        raise Refused(problems)
    return tuple(found)


def _misfits(kept: Kept, other: Kept, here: Types, there: Types, homes: Homes) -> list[str]:
    columns = {one.name: one for one in other.columns}
    found = []
    for one in kept.columns:
        now = columns.pop(one.name, None)
        if now is None:
            found.append(f"{kept.full} has no column {identifier(one.name)} at the target that could be given a value")
        elif _within(there[now.type, now.typmod], homes.there) != _within(here[one.type, one.typmod], homes.here):
            types = f"{there[now.type, now.typmod]} at the target, {here[one.type, one.typmod]} here"
            found.append(f"{kept.full}.{identifier(one.name)} is {types}")
    for name, now in columns.items():
        if not homes.shared_there:  # its default would run, which may be anybody's
            found.append(f"{kept.full} has no column {identifier(name)}, and {other.full} has")
        elif now.not_null and not now.default and not now.identity:
            found.append(f"{kept.full}.{identifier(name)} must have a value at the target, and there is none here")
    if kept.column is not None and other.column is not None and kept.column.name != other.column.name:
        found.append(f"{kept.full} has another tenant column at the target")
    if kept.column is None and other.column is not None and kept.relation.column(other.column.name) is None:
        found.append(
            f"{kept.full} has no column {identifier(other.column.name)}, which says whose a row is at the target"
        )
    if kept.column is not None and other.column is None:
        own = other.relation.column(kept.column.name)
        if own is not None and own.not_null and not own.default:
            name = f"{other.full}.{identifier(own.name)}"
            found.append(f"{name} must have the tenant's key as its default: here statements need not give it")
    return found


def _within(kind: str, home: str) -> str:
    """A type's name, with the home for what it is."""
    for prefix in (f"{home}.", f"{identifier(home)}."):
        if kind.startswith(prefix):
            return f"home {kind.removeprefix(prefix)}"
    return kind
