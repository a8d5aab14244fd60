"""Which table goes where when a tenant moves, with which columns, and by which key its rows are found again.

What does not fit is told, all of it, before anything is done: the same tables must be there, with the same columns and
types, and nothing may be there that would change rows on their way. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.backup.refusal import Refused
from proxy.backup.rowhash import found_by
from proxy.backup.selection import Kept
from proxy.catalog.finding import identifier

Types = Mapping[tuple[int, int], str]  # the names of types, by type and modifier


@dataclass(frozen=True, slots=True)
class Passage:
    """A table on its way. columns: of both places, the tenant's first. key: name and type of the columns by which a row
    is found again; (): all that is in it.
    """

    source: Kept
    target: Kept
    columns: tuple[str, ...]
    key: tuple[tuple[str, str], ...]

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


def paired(source: tuple[Kept, ...], target: tuple[Kept, ...], here: Types, there: Types) -> tuple[Passage, ...]:
    """Each of the tenant's tables and the one that takes its rows. Refused with everything that does not fit."""
    waiting = {one.at: one for one in target}
    problems: list[str] = []
    found = []
    for kept in source:
        other = waiting.get(kept.at)
        if other is None:
            problems.append(f"{kept.full} is no table of the tenant at the target")
            continue
        problems += _misfits(kept, other, here, there)
        key = found_by(kept.relation, kept.columns)
        columns = tuple(one.name for one in kept.columns)
        typed = tuple((one.name, here[one.type, one.typmod]) for one in key)
        found.append(Passage(kept, other, columns, typed))
    if problems:
        raise Refused(problems)
    return tuple(found)


def _misfits(kept: Kept, other: Kept, here: Types, there: Types) -> list[str]:
    columns = {one.name: one for one in other.columns}
    found = []
    for one in kept.columns:
        now = columns.pop(one.name, None)
        if now is None:
            found.append(f"{kept.full} has no column {identifier(one.name)} at the target that could be given a value")
        elif there[now.type, now.typmod] != here[one.type, one.typmod]:
            types = f"{there[now.type, now.typmod]} at the target, {here[one.type, one.typmod]} here"
            found.append(f"{kept.full}.{identifier(one.name)} is {types}")
    for name, now in columns.items():
        if now.not_null and not now.default and not now.identity:
            found.append(f"{kept.full}.{identifier(name)} must have a value at the target, and there is none here")
    if (kept.column is None) != (other.column is None) or (
        kept.column is not None and other.column is not None and kept.column.name != other.column.name
    ):
        found.append(f"{kept.full} has another tenant column at the target")
    return found
