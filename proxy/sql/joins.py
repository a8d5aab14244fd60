"""Joins: the columns of a join, and the pairs that USING or NATURAL compares.

Promises: order and names as PostgreSQL's (merged columns first). A merged column is taken from the side the server
takes it from, and is of no table where that is both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.errors import AmbiguousColumn, UndefinedColumn
from proxy.sql.scope import UNKNOWN, Named, Tree, Value
from proxy.sql.silent import Silence
from proxy.sql.types import Types


@dataclass(frozen=True, slots=True, eq=False)
class JoinColumns:
    """columns: all; merged: the first of them; pairs: what is compared, None where that is not all known."""

    columns: tuple[Named, ...]
    merged: tuple[Named, ...]
    pairs: tuple[tuple[Value, Value], ...] | None


def _one(columns: Sequence[Named], name: str) -> Value | None:
    found = [one.value for one in columns if one.name == name]
    return found[0] if len(found) == 1 else None


def check_column(name: str, columns: Sequence[Named], side: str) -> None:
    """Raise what the server says of a column of USING that an arm does not have, or has twice."""
    count = sum(one.name == name for one in columns)
    if count == 0:
        raise UndefinedColumn(f'column "{name}" specified in USING clause does not exist in {side} table')
    if count > 1:
        raise AmbiguousColumn(f'common column name "{name}" appears more than once in {side} table')


def merge(
    body: Tree, left: tuple[Named, ...], right: tuple[Named, ...], is_open: bool, types: Types, silence: Silence
) -> JoinColumns:
    """The columns of the JoinExpr `body` over these arms."""
    kind = body.get("jointype")
    names = [one["String"]["sval"] for one in body.get("usingClause", [])]
    if body.get("isNatural"):
        others = {one.name for one in right}
        names = list(dict.fromkeys(one.name for one in left if one.name in others))
    merged: list[Named] = []
    pairs: list[tuple[Value, Value]] | None = None if is_open and body.get("isNatural") else []
    for name in names:
        first, second = _one(left, name), _one(right, name)
        if first is None or second is None:
            if not is_open:
                check_column(name, left, "left")
                check_column(name, right, "right")
            pairs = None
            merged.append(Named(name, UNKNOWN))
            continue
        if pairs is not None:
            pairs.append((first, second))
        if first.type != second.type or first.collation != second.collation:
            shared = types.common([first, second])
            merged.append(Named(name, Value(shared.type, shared.collation)))
        elif kind == "JOIN_FULL":
            key = first.key if first.key == second.key else None
            silent = first.silent and second.silent
            merged.append(Named(name, Value(first.type, first.collation, silent, key=key)))
        else:
            merged.append(Named(name, second if kind == "JOIN_RIGHT" else first))
    rest = [one for one in (*left, *right) if one.name not in names]
    return JoinColumns((*merged, *rest), tuple(merged), None if pairs is None else tuple(pairs))
