"""CopyFormat: what the options of a COPY say about its bytes, and how one value is written in them.

A value is written so that it reads back as itself whatever the options are: never as NULL, as the DEFAULT marker, as
two fields or as a row's end. Where a format has no such form it is a Refusal. It knows formats, and not whose value it
is. Source: PostgreSQL documentation, "COPY", File Formats; commands/copyfromparse.c.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from proxy.errors import FeatureNotSupported
from proxy.wire.copybinary import BinaryRows
from proxy.wire.copycsv import CsvReader
from proxy.wire.copyfields import Shape
from proxy.wire.copylines import CsvRows, Rows, TextRows
from proxy.wire.copytext import TextReader
from proxy.wire.copytuples import BinaryReader

NO_FORM = "COPY FROM is not supported with these options"
SPECIAL = b"\\\n\r\t\b\f\v"  # what a value of the text format writes as \ooo, besides the delimiter
INTEGERS = {"int2": "!h", "int4": "!i", "int8": "!q"}


@dataclass(frozen=True, slots=True)
class CopyFormat:
    """The bytes of one COPY. markers: raw fields that are not themselves, NULL and DEFAULT. header: "" there is none,
    "skip" it is not looked at, "match" its fields are the columns' names. end_marker: a line of backslash and full stop
    ends the data of CSV, too (before PostgreSQL 18)."""

    name: str = "text"  # text | csv | binary
    delimiter: bytes = b"\t"
    quote: bytes = b'"'
    escape: bytes = b'"'
    markers: tuple[bytes, ...] = (b"\\N",)
    header: str = ""
    end_marker: bool = True

    def value(self, text: str, type_name: str) -> bytes:
        """One field of a row without its delimiter; text: what the server's input function would be given.

        FeatureNotSupported where these options leave no form for it."""
        raw = text.encode()
        if self.name == "binary":
            return _binary(text, type_name)
        if self.name == "csv":
            if b"\n" in raw or b"\r" in raw:
                raise FeatureNotSupported(NO_FORM, hint="Use the text format.")  # the server would count lines in it
            for special in dict.fromkeys((self.escape, self.quote)):
                raw = raw.replace(special, self.escape + special)
            return self.quote + raw + self.quote
        for special in dict.fromkeys((*(bytes([one]) for one in SPECIAL), self.delimiter)):
            raw = raw.replace(special, b"\\%03o" % special[0])
        head, tail = raw[:1], raw[1:]
        if head == b"\\":
            forms = [raw, b"\\x%02x" % int(raw[1:4], 8) + raw[4:]]
        else:
            forms = [raw, *([b"\\%03o" % head[0] + tail, b"\\x%02x" % head[0] + tail] if head else [])]
        for form in forms:
            if form not in self.markers:
                return form
        raise FeatureNotSupported(NO_FORM, hint="Choose another string for NULL.")

    def rows(self, text: str, type_name: str, column: str, fields: int) -> Rows | BinaryRows:
        """A scanner that puts this value, as one more column, before each row of `fields` columns."""
        value = self.value(text, type_name)
        if self.name == "binary":
            return BinaryRows(value, fields)
        prefix = value + self.delimiter
        first = {"": prefix, "skip": b""}.get(self.header)
        if first is None:
            first = self.value(column, "text") + self.delimiter
        if self.name == "csv":
            return CsvRows(prefix, first, self.quote, self.escape, self.end_marker)
        return TextRows(prefix, first)

    def reader(self, shape: Shape, most: int) -> TextReader | CsvReader | BinaryReader:
        """What makes rows of fields of the data. most: bytes of a row."""
        if self.name == "binary":
            return BinaryReader(shape.columns, most)
        if self.name == "csv":
            return CsvReader(shape, most, self.delimiter, self.quote, self.escape)
        return TextReader(shape, most, self.delimiter)


def _binary(text: str, type_name: str) -> bytes:
    layout = INTEGERS.get(type_name)
    if layout is not None:
        body = struct.pack(layout, int(text))
    elif type_name == "uuid":
        body = bytes.fromhex(text.replace("-", "").strip("{}"))
    else:
        body = text.encode()
    return struct.pack("!i", len(body)) + body
