"""COPY table FROM STDIN as INSERTs: row-level security knows no COPY FROM, so rows go in as parameters.

Promises: the statement is an INSERT of the rows' columns, confined and proved like one that the client sends, for one
row and for two; what is sent for more repeats the second row with other numbers of parameters, byte for byte. What is
kept, put together again for two rows, must be what was proved. No value of a row ever stands in a text. Parameters
have the columns' types, so that the server reads a value as COPY does. Source: decision 0078.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from proxy.catalog.model import Relation
from proxy.errors import FeatureNotSupported, UndefinedColumn
from proxy.sql.copied import CopyIn, Insertion
from proxy.sql.nodes import Nodes
from proxy.sql.plan import Hole, KeyCheck, Template
from proxy.sql.restored import Restore
from proxy.sql.rewrite.edit import column_ref, fence_off, string
from proxy.sql.scope import strings
from proxy.sql.world import Visible
from proxy.wire.copyfields import Shape

Node = dict[str, Any]

APART = b"\0"  # between the parts of a template: no text has one
HOLE = re.compile("\0(\\d+)\0")  # a hole's number: whatever a client's constant holds, it cannot look like one
# A name, a quoted name, a string, or a parameter: what only looks like a parameter is within one of the others.
TOKENS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z_\u0080-\U0010ffff][\w$]*|\$(\d+)""")
LISTED_HINT = "Name only columns in WHERE that the rows have."
NO_COLUMNS = "COPY FROM into a table without columns is not supported"


def insert_of(body: Node, visible: Visible, columns: Sequence[str], rows: int) -> Node:
    """An INSERT of so many rows of parameters, not confined yet."""
    relation = visible.relation
    width = len(columns)
    if not width:
        raise FeatureNotSupported(NO_COLUMNS)
    values = [
        {"List": {"items": [{"ParamRef": {"number": row * width + at, "location": -1}} for at in range(1, width + 1)]}}
        for row in range(rows)
    ]
    source: Node = {"valuesLists": values, "limitOption": "LIMIT_OPTION_DEFAULT", "op": "SETOP_NONE"}
    condition = body.get("whereClause")
    if condition is not None:
        _check_condition(condition, relation, columns)
        fence_off(source)  # the condition may be of any kind
        alias = {"aliasname": relation.name, "colnames": [string(one) for one in columns]}
        source = {
            "targetList": [{"ResTarget": {"val": column_ref(relation.name, one), "location": -1}} for one in columns],
            "fromClause": [{"RangeSubselect": {"subquery": {"SelectStmt": source}, "alias": alias}}],
            "whereClause": condition,
            "limitOption": "LIMIT_OPTION_DEFAULT",
            "op": "SETOP_NONE",
        }
    identity = any(one.identity for one in relation.columns)
    return {
        "InsertStmt": {
            "relation": {
                "schemaname": relation.schema, "relname": relation.name, "inh": True, "relpersistence": "p",
                "location": -1,
            },
            "cols": [{"ResTarget": {"name": one, "location": -1}} for one in columns],
            "selectStmt": {"SelectStmt": source},
            "override": "OVERRIDING_SYSTEM_VALUE" if identity else "OVERRIDING_NOT_SET",
        }
    }  # fmt: skip


def with_rows(tree: Node, rows: int) -> Node:
    """The same INSERT with only the first rows."""
    body = tree["InsertStmt"]
    source = body["selectStmt"]["SelectStmt"]
    if "valuesLists" in source:
        kept = {**source, "valuesLists": source["valuesLists"][:rows]}
    else:
        (item,) = source["fromClause"]
        values = item["RangeSubselect"]["subquery"]["SelectStmt"]
        fewer = {"SelectStmt": {**values, "valuesLists": values["valuesLists"][:rows]}}
        kept = {**source, "fromClause": [{"RangeSubselect": {**item["RangeSubselect"], "subquery": fewer}}]}
    return {"InsertStmt": {**body, "selectStmt": {"SelectStmt": kept}}}


def _check_condition(condition: Node, relation: Relation, columns: Sequence[str]) -> None:
    nodes = Nodes(condition)
    for body in nodes.of("ColumnRef"):
        names = strings(body.get("fields", ()))
        location = body.get("location")
        if names and len(names) == 1 and relation.column(names[0]) is None:
            raise UndefinedColumn(f'column "{names[0]}" does not exist', location=location)
        if not names or names[-1] not in columns or names[:-1] not in ([], [relation.name]):
            raise FeatureNotSupported(
                "this condition of COPY FROM is not supported", hint=LISTED_HINT, location=location
            )


def types_of(visible: Visible, columns: Sequence[str]) -> tuple[int, ...]:
    """Their OIDs, which the parameters are declared to have."""
    return tuple(one.type for name in columns if (one := visible.relation.column(name)) is not None)


def insertion(
    one: Template,
    two: Template,
    types: tuple[int, ...],
    shape: Shape,
    checks: tuple[KeyCheck, ...],
    restore: Restore | None = None,
) -> Insertion:
    """What the session makes INSERTs of. one, two: the texts for one row and for two."""
    width = len(types)
    holes: list[Hole] = list(dict.fromkeys((*one.holes, *two.holes)))
    first, second = _flat(one, holes), _flat(two, holes)
    shared = next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(first))
    tail = first[shared:]
    row = _shifted(second[shared + 2 : len(second) - len(tail)], -width)
    if second != f"{first[:shared]}, {_shifted(row, width)}{tail}" or not first[:shared].endswith(row):
        raise AssertionError("rows of an INSERT that are not alike")
    parts, order, lone = _parts(row)
    texts = [first[: shared - len(row)], *parts, tail]
    pieces: list[bytes] = [b""]
    used: list[Hole] = []
    for text in texts:
        for at, piece in enumerate(HOLE.split(text)):
            if at % 2:
                used.append(holes[int(piece)])
                pieces.append(b"")
            else:
                pieces[-1] += piece.encode()
        pieces[-1] += APART
    pieces[-1] = pieces[-1][:-1]
    return Insertion(Template(tuple(pieces), tuple(used)), order, lone, types, shape, checks, restore)


def with_parts(insert: Insertion, rows: int) -> Template:
    """What the session sends for so many rows, put together of what it is given."""
    sections: list[list[bytes | Hole]] = [[]]
    for piece, hole in zip_longest(insert.parts.pieces, insert.parts.holes):
        section, *more = piece.split(APART)
        sections[-1].append(section)
        sections += [[one] for one in more]
        if hole is not None:
            sections[-1].append(hole)
    head, *around, tail = sections
    if len(around) != len(insert.order) + 1:
        raise AssertionError("parts of an INSERT that are not those of its fields")
    found = [*head]
    for row in range(rows):
        found += [b", "] if row else []
        found += around[0]
        for field, part in zip(insert.order, around[1:], strict=True):
            found += [b"$%d" % (row * len(insert.types) + field + 1), *part]
    pieces: list[bytes] = [b""]
    holes: list[Hole] = []
    for one in (*found, *tail):
        if isinstance(one, bytes):
            pieces[-1] += one
        else:
            holes.append(one)
            pieces.append(b"")
    return Template(tuple(pieces), tuple(holes))


def require_proved(copied: object, proved: Template) -> None:
    """AssertionError unless the parts of a COPY that goes in as INSERTs make the text that is proved. For any keys
    and literals: pieces and holes are compared, not one filling."""
    insert = copied.insert if isinstance(copied, CopyIn) else None
    if insert is not None and with_parts(insert, 2) != proved:
        raise AssertionError("what would be sent for the rows of a COPY was not proved")


def _flat(template: Template, holes: list[Hole]) -> str:
    """The text with each hole as its number."""
    if any(APART in piece for piece in template.pieces):
        raise AssertionError("a text with a NUL")
    out = [template.pieces[0].decode()]
    for hole, piece in zip(template.holes, template.pieces[1:], strict=True):
        out.append(f"\0{holes.index(hole)}\0{piece.decode()}")
    return "".join(out)


def _shifted(row: str, by: int) -> str:
    return TOKENS.sub(lambda found: found[0] if found[1] is None else f"${int(found[1]) + by}", row)


def _parts(row: str) -> tuple[list[str], tuple[int, ...], frozenset[int]]:
    """What stands around the fields of a row; which field stands where; those that are a value by themselves."""
    parts, order, done = [], [], 0
    for found in TOKENS.finditer(row):
        if found[1] is not None:
            parts.append(row[done : found.start()])
            order.append(int(found[1]) - 1)
            done = found.end()
    parts.append(row[done:])
    lone = {
        field
        for at, field in enumerate(order)
        if parts[at].endswith(("(", ", ")) and parts[at + 1].startswith((")", ", ")) and order.count(field) == 1
    }
    return parts, tuple(order), frozenset(lone)


def without_rows(checks: Sequence[KeyCheck]) -> tuple[KeyCheck, ...]:
    """Those that Bind does not ask."""
    return tuple(one for one in checks if not isinstance(one.value, int))
