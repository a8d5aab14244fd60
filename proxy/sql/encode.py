"""Trees as dicts -> libpg_query's protobuf bytes, over a table of field numbers.

The table is generated from pg_query.proto and compiled once at import. Entries whose name starts with "_" are the
rewriter's own marks
and are left out. An unknown node or field is a KeyError: the caller treats it as a bug. Wire format: protobuf's
encoding guide.
"""

from __future__ import annotations

import json
import struct
from importlib.resources import files
from typing import Any

PARSE_RESULT_VERSION = 180006  # pg_query's ParseResult.version for PostgreSQL 18.6

NUMBER, ENUM, STRING, NODE, MESSAGE, DOUBLE = range(6)
_WIRE_TYPES = {NUMBER: 0, ENUM: 0, STRING: 2, NODE: 2, MESSAGE: 2, DOUBLE: 1}
_NUMBERS = frozenset({"int32", "int64", "uint32", "uint64", "bool"})

Field = tuple[bytes, int, Any, bool]  # tag, kind, enum values or the message's fields, repeated
Fields = dict[str, Field]


def varint(number: int) -> bytes:
    """A base-128 varint; negative numbers as their 64-bit two's complement."""
    if 0 <= number < 128:
        return bytes((number,))
    if number < 0:
        number += 1 << 64
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _compile() -> tuple[Fields, dict[str, tuple[bytes, Fields]]]:
    table = json.loads(files("proxy.sql.data").joinpath("pg_query_fields.json").read_text(encoding="utf-8"))
    compiled: dict[str, Fields] = {name: {} for name in table["messages"]}
    for message, fields in table["messages"].items():
        for name, (number, kind_name, repeated) in fields.items():
            detail: Any = None
            if kind_name in _NUMBERS:
                kind = NUMBER
            elif kind_name in table["enums"]:
                kind, detail = ENUM, table["enums"][kind_name]
            elif kind_name in ("string", "double"):
                kind = STRING if kind_name == "string" else DOUBLE
            elif kind_name == "Node":
                kind = NODE
            else:
                kind, detail = MESSAGE, compiled.get(kind_name, {})
            compiled[message][name] = (varint(number << 3 | _WIRE_TYPES[kind]), kind, detail, repeated)
    nodes = {name: (varint(one[0] << 3 | 2), compiled[one[1]]) for name, one in table["messages"]["Node"].items()}
    return compiled["ParseResult"], nodes


_PARSE_RESULT, _NODES = _compile()


def encode(tree: dict[str, Any]) -> bytes:
    """One statement as a serialised ParseResult."""
    return _body({"version": PARSE_RESULT_VERSION, "stmts": [{"stmt": tree}]}, _PARSE_RESULT)


def _body(body: dict[str, Any], fields: Fields) -> bytes:
    out: list[bytes] = []
    for name, value in body.items():
        if name[0] == "_":
            continue
        tag, kind, detail, repeated = fields[name]
        for one in value if repeated else (value,):
            if kind == NODE:
                data = _node(one)
            elif kind == NUMBER:
                out.append(tag + varint(int(one)))
                continue
            elif kind == ENUM:
                out.append(tag + varint(detail[one]))
                continue
            elif kind == STRING:
                data = one.encode()
            elif kind == DOUBLE:
                out.append(tag + struct.pack("<d", one))
                continue
            else:
                data = _body(one, detail)
            out += (tag, varint(len(data)), data)
    return b"".join(out)


def _node(node: dict[str, Any]) -> bytes:
    for name, body in node.items():
        if name[0] != "_":
            tag, fields = _NODES[name]
            data = _body(body, fields)
            return tag + varint(len(data)) + data
    return b""  # an absent node in a list
