"""Trees as dicts -> libpg_query's protobuf bytes, over a table of field numbers.

The table is generated from pg_query.proto and compiled once at import, each field to a function. Entries whose name
starts with "_" are the rewriter's own marks and are left out. An unknown node or field is a KeyError: the caller treats
it as a bug. Wire format: protobuf's encoding guide.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

PARSE_RESULT_VERSION = 180006  # pg_query's ParseResult.version for PostgreSQL 18.6

NAMES, LONGEST_NAME = 4096, 64  # kept; NAMEDATALEN
_NUMBERS = frozenset({"int32", "int64", "uint32", "uint64", "bool"})

Encode = Callable[[Any], bytes]  # a field's value -> its tag and itself


class Fields(dict[str, Encode]):
    """Of a message. A mark of the rewriter is nothing."""

    def __missing__(self, name: str) -> Encode:
        if name[0] != "_":
            raise KeyError(name)
        return _nothing


def _nothing(mark: object) -> bytes:
    return b""


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


_LENGTHS = tuple(map(varint, range(2048)))
_MISSING = varint(-1)  # of a place that is in no text


def _number(tag: bytes) -> Encode:
    return lambda value: tag + (_MISSING if value == -1 else varint(int(value)))


def _enum(tag: bytes, values: Mapping[str, int]) -> Encode:
    return {name: tag + varint(number) for name, number in values.items()}.__getitem__


def _double(tag: bytes) -> Encode:
    return lambda value: tag + struct.pack("<d", value)


def _sized(tag: bytes, inner: Encode) -> Encode:
    """What is sent with its length before it: strings, messages, nodes."""

    def encode_sized(value: Any) -> bytes:
        data = inner(value)
        size = len(data)
        return tag + (_LENGTHS[size] if size < 2048 else varint(size)) + data

    return encode_sized


def _repeated(one: Encode) -> Encode:
    return lambda values: b"".join(map(one, values))


def _message(fields: Fields) -> Encode:
    return lambda body: b"".join([fields[name](value) for name, value in body.items()])


def _node(node: dict[str, Any]) -> bytes:
    for name, body in node.items():
        if name == "String" and 0 < len(body.get("sval", "")) < LONGEST_NAME:
            return _string(body["sval"])
        if name[0] != "_":
            return _NODES[name](body)
    return b""  # an absent node in a list


@lru_cache(NAMES)
def _string(value: str) -> bytes:
    """Half of all nodes are names, and a database has few of them."""
    return _NODES["String"]({"sval": value})


def _compile() -> tuple[Encode, Fields]:
    table = json.loads(files("proxy.sql.data").joinpath("pg_query_fields.json").read_text(encoding="utf-8"))
    messages = {name: Fields() for name in table["messages"]}
    for message, fields in table["messages"].items():
        for name, (number, kind, repeated) in fields.items():
            if kind in _NUMBERS:
                one = _number(varint(number << 3))
            elif kind in table["enums"]:
                one = _enum(varint(number << 3), table["enums"][kind])
            elif kind == "double":
                one = _double(varint(number << 3 | 1))
            elif kind == "string":
                one = _sized(varint(number << 3 | 2), str.encode)
            elif kind == "Node":
                one = _sized(varint(number << 3 | 2), _node)
            else:
                one = _sized(varint(number << 3 | 2), _message(messages.get(kind, Fields())))
            messages[message][name] = _repeated(one) if repeated else one
    return _message(messages["ParseResult"]), messages["Node"]


_PARSE_RESULT, _NODES = _compile()


def encode(tree: dict[str, Any]) -> bytes:
    """One statement as a serialised ParseResult."""
    return _PARSE_RESULT({"version": PARSE_RESULT_VERSION, "stmts": [{"stmt": tree}]})
