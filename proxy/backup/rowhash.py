"""What a row is, and how one is found again: the hash of its line in COPY's text format, made by the server or here.

Promises: `digest` on a connection of snapshot.READING is `hashed` of the line that COPY sends there, whatever the
types, the server's version and its encoding; so a row in an archive and a live one are compared by 32 bytes. Two rows
with one hash are equal to the last digit. Pure. Source: PostgreSQL documentation, COPY, "Text Format".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from proxy.catalog.finding import identifier
from proxy.catalog.model import Column, Relation

TEXT = frozenset({25, 1043})
# Types whose output is what a cast to text gives: integers, oid, floats, numeric, dates, times, interval, uuid. Not
# boolean, inet, character(n) and others with a cast of their own.
CAST = frozenset({20, 21, 23, 26, 700, 701, 1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950})
UNESCAPED = CAST | {16, 650, 829, 869}  # nor can there be a backslash or a tab in these
# As E'' and as COPY have them; E'' knows no \v before PostgreSQL 16. The backslash comes first.
ESCAPES = {r"\\": r"\\", r"\b": r"\b", r"\f": r"\f", r"\n": r"\n", r"\r": r"\r", r"\t": r"\t", r"\x0b": r"\v"}


def line(columns: Sequence[Column], alias: str = "") -> str:
    """In SQL, a row as COPY writes it, without the newline; it is text, and never NULL."""
    before = f"{alias}." if alias else ""
    fields = ", ".join(_field(one, before + identifier(one.name)) for one in columns)
    return rf"pg_catalog.array_to_string(ARRAY[{fields}]::pg_catalog.text[], E'\t', '\N')"


def digest(columns: Sequence[Column], alias: str = "") -> str:
    """In SQL, the hash of a row over these columns in their order: SHA-256, 32 bytes of bytea."""
    return f"pg_catalog.sha256(pg_catalog.convert_to({line(columns, alias)}, 'UTF8'))"


def hashed(row: bytes) -> bytes:
    """The same of a line of COPY text, without its newline."""
    return hashlib.sha256(row).digest()


def found_by(relation: Relation, columns: Sequence[Column]) -> tuple[Column, ...]:
    """Those of the columns that find a row again: of the primary key, or of a unique one that holds no NULL. (): there
    is no such key, and rows are told apart by all that is in them, and counted.
    """
    by_number = {one.number: one for one in columns}
    for key in sorted(relation.keys, key=lambda one: (one.kind != "p", one.name)):
        if key.kind == "x" or key.partial or not key.valid or not by_number.keys() >= set(key.columns):
            continue
        found = tuple(by_number[number] for number in key.columns)
        if all(one.not_null for one in found):
            return found
    return ()


def _field(column: Column, value: str) -> str:
    if column.type in CAST:
        return f"{value}::pg_catalog.text"
    if column.type in TEXT:
        return _escaped(value)
    # format() calls the type's output function, as COPY does; IS DISTINCT FROM, for a composite of NULLs is not NULL.
    written = f"pg_catalog.format('%s', {value})"
    if column.type not in UNESCAPED:
        written = _escaped(written)
    return f"CASE WHEN {value} IS DISTINCT FROM NULL THEN {written} END"


def _escaped(value: str) -> str:
    value = f'{value} COLLATE pg_catalog."C"'  # replace() refuses collations that are not deterministic
    for plain, escaped in ESCAPES.items():
        value = f"pg_catalog.replace({value}, E'{plain}', '{escaped}')"
    return value
