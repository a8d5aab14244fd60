"""DETAIL of key violations, which a server with policies keeps to itself: said again from the statement.

Promises: only of an INSERT of one row, or an UPDATE, of constants and parameters that are printed as they were given,
of a table whose triggers change no row, and only of keys that hold the tenant column: what is told are values that the
client has just sent, and its own key. Where one of the values is not known nothing is told. Pure. Source:
BuildIndexValueDescription in genam.c, ri_ReportViolation in ri_triggers.c.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.catalog.model import Relation
from proxy.sql.admission import UUID_FORM, WIDTHS, output
from proxy.sql.oids import INTEGERS, TEXT, UNTYPED, UUID, VARCHAR
from proxy.sql.plan import KeyHole, LiteralHole
from proxy.sql.prepared import constant_of
from proxy.sql.world import World

Node = dict[str, Any]
Source = KeyHole | LiteralHole | bytes | int
"""Where a value comes from: a key, a literal, a constant as it is written, or the number of a parameter."""

TEXTS = frozenset({TEXT, VARCHAR})
PRINTED = INTEGERS | TEXTS | {UUID}
UNIQUE, FOREIGN = "23505", "23503"
LONGEST = 1 << 30
Given = tuple[str, int, int, Source]
"""A column's name, its type, how many characters it holds, and where its value comes from."""


@dataclass(frozen=True, slots=True)
class Restorable:
    """A constraint of the table. references: the table that a foreign key leads to."""

    name: str
    columns: tuple[Given, ...]
    references: str = ""


@dataclass(frozen=True, slots=True)
class Restore:
    """Of one statement: the table, its constraints; parameters: some value is one."""

    schema: str
    table: str
    constraints: tuple[Restorable, ...]
    parameters: bool


def restorable(tree: Node, world: World) -> Restore | None:
    """What can be said of the constraints that this INSERT or UPDATE, as it is sent, may violate."""
    ((kind, body),) = tree.items()
    if kind not in ("InsertStmt", "UpdateStmt") or {"withClause", "onConflictClause"} & set(body):
        return None
    values = _inserted(body) if kind == "InsertStmt" else _assigned(body)
    if not values:
        return None
    target = body["relation"]
    seen = world.relation(target.get("schemaname"), target.get("relname", ""))
    if seen is None or seen.access != "tenant" or seen.column is None or seen.relation.changes_rows:
        return None
    relation = seen.relation
    given: dict[int, Given] = {}
    for name, value in {seen.column.name: {}, **values}.items():
        column = relation.column(name)
        source = KeyHole(seen.key) if name == seen.column.name else _source(value)
        if column is not None and source is not None and column.type in PRINTED:
            most = column.typmod - 4 if column.typmod >= 0 else LONGEST
            given[column.number] = (name, column.type, most, source)
    found = [*_keys(relation, seen.column.number, given), *_references(relation, seen.column.number, given, world)]
    if not found:
        return None
    parameters = any(isinstance(one[3], int) for each in found for one in each.columns)
    return Restore(relation.schema, relation.name, tuple(found), parameters)


def _inserted(body: Node) -> dict[str, Node]:
    """Column -> value, of an INSERT of one row."""
    select = body.get("selectStmt", {}).get("SelectStmt", {})
    rows = select.get("valuesLists", ())
    if len(rows) != 1 or "withClause" in select:
        return {}
    names = [one["ResTarget"]["name"] for one in body.get("cols", ())]
    return dict(zip(names, rows[0]["List"].get("items", ()), strict=False))


def _assigned(body: Node) -> dict[str, Node]:
    """Column -> value, of an UPDATE: every row that it makes has these."""
    targets = [one["ResTarget"] for one in body.get("targetList", ())]
    return {one["name"]: one.get("val", {}) for one in targets if "indirection" not in one}


def _source(value: Node) -> Source | None:
    if "ParamRef" in value:
        return int(value["ParamRef"].get("number", 0))
    constant = value.get("A_Const")
    return None if constant is None or constant.get("isnull") else constant_of(constant)


def _keys(relation: Relation, tenant: int, given: Mapping[int, Given]) -> list[Restorable]:
    return [
        Restorable(key.name, tuple(given[one] for one in key.columns))
        for key in relation.keys
        if key.kind in "pui" and tenant in key.columns and all(one in given for one in key.columns)
    ]


def _references(relation: Relation, tenant: int, given: Mapping[int, Given], world: World) -> list[Restorable]:
    found = []
    for key in relation.foreign_keys:
        other = world.catalog.relations_by_oid.get(key.references)
        seen = None if other is None else world.relation(other.schema, other.name)
        if seen is None or not all(one in given for one in key.columns):
            continue
        own = seen.column
        shared = seen.access == "shared"
        pairs = zip(key.columns, key.referenced_columns, strict=True)
        if shared or (own is not None and (tenant, own.number) in pairs):
            found.append(Restorable(key.name, tuple(given[one] for one in key.columns), seen.relation.name))
    return found


def with_detail(
    fields: dict[str, str],
    restore: Restore,
    keys: Mapping[str, str],
    literals: Sequence[bytes],
    values: Sequence[bytes | None],
) -> dict[str, str]:
    """The fields of this statement's error with their DETAIL. values: of its parameters, as text; None: not known."""
    if (fields.get("s"), fields.get("t")) != (restore.schema, restore.table) or "W" in fields:
        return fields  # with CONTEXT it is about a statement of a trigger's
    one = next((one for one in restore.constraints if one.name == fields.get("n")), None)
    if one is None or fields.get("C") != (FOREIGN if one.references else UNIQUE):
        return fields
    if one.references and fields.get("D") != f'Key is not present in table "{one.references}".':
        return fields  # it is about rows that refer to this one
    shown = [_printed(one, keys, literals, values) for one in one.columns]
    if None in shown:
        return fields
    key = f"Key ({', '.join(name for name, *_ in one.columns)})=({', '.join(map(str, shown))})"
    detail = f'{key} is not present in table "{one.references}".' if one.references else f"{key} already exists."
    return fields | {"D": detail}


def _printed(
    given: Given, keys: Mapping[str, str], literals: Sequence[bytes], values: Sequence[bytes | None]
) -> str | None:
    """As the server prints it; None where that is not certain."""
    _, type_, most, source = given
    if isinstance(source, KeyHole):
        return output(type_, keys[source.key]).decode()
    if isinstance(source, int):
        raw = values[source - 1] if source <= len(values) else None
    else:
        raw = literals[source.index] if isinstance(source, LiteralHole) else source
        if raw.upper() == b"NULL":
            return None
        raw = raw[1:-1].replace(b"''", b"'") if raw[:1] == b"'" else raw
    if raw is None:
        return None
    try:
        text = raw.decode()
        if type_ in INTEGERS:
            return str(int(text))
    except ValueError:
        return None
    if len(text) > most or (type_ == UUID and UUID_FORM.fullmatch(text) is None):
        return None
    return output(type_, text).decode()


def as_text(
    restore: Restore, declared: Sequence[int], formats: Sequence[int], values: Sequence[bytes | None]
) -> list[bytes | None]:
    """Parameters of Bind as text; None for what is not known. declared: as in Parse."""
    types = {one[3]: one[1] for each in restore.constraints for one in each.columns if isinstance(one[3], int)}
    found: list[bytes | None] = []
    for at, value in enumerate(values):
        form = 0 if not formats else formats[0] if len(formats) == 1 else formats[at] if at < len(formats) else 0
        type_ = types.get(at + 1, 0)
        given = declared[at] if at < len(declared) and declared[at] not in (0, UNTYPED) else type_
        same = given == type_ or any(given in one and type_ in one for one in (INTEGERS, TEXTS))
        if not same:
            found.append(None)
        elif value is None or form == 0:
            found.append(value)
        elif type_ in INTEGERS:
            whole = len(value) in WIDTHS.values()  # what is no integer the server refuses
            found.append(b"%d" % int.from_bytes(value, "big", signed=True) if whole else None)
        elif type_ in TEXTS:
            found.append(value)
        elif type_ == UUID and len(value) == 16:
            text = value.hex()
            found.append("-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])).encode())
        else:
            found.append(None)
    return found
