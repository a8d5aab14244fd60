"""COPY data in the binary format become fields, however they are cut, and what is no such data is an error."""

from __future__ import annotations

import struct

import pytest

from proxy.wire.copybinary import SIGNATURE
from proxy.wire.copyfields import Shape
from proxy.wire.copyformat import CopyFormat
from tests.wire.copied import rows

BINARY = CopyFormat("binary")
AB = Shape(("a", "b"))
HEAD = SIGNATURE + struct.pack("!ii", 0, 0)
END = struct.pack("!h", -1)


def row(*values: bytes | None) -> bytes:
    out = struct.pack("!h", len(values))
    for one in values:
        out += struct.pack("!i", -1) if one is None else struct.pack("!i", len(one)) + one
    return out


def test_rows_come_out_however_they_are_cut() -> None:
    data = SIGNATURE + struct.pack("!ii", 0, 3) + b"ext" + row(b"1", b"x" * 40) + row(None, b"") + END
    wanted = [(1, [b"1", b"x" * 40]), (2, [None, b""])]
    assert rows(BINARY, AB, data) == (wanted, None)
    assert rows(BINARY, AB, data, range(1, len(data))) == (wanted, None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PGCOPY\n\xff\r\n\1" + b"\0" * 8, "COPY file signature not recognized"),
        (SIGNATURE, "invalid COPY file header (missing flags)"),
        (SIGNATURE + struct.pack("!ii", 1 << 16, 0), "invalid COPY file header (WITH OIDS)"),
        (SIGNATURE + struct.pack("!ii", 1 << 17, 0), "unrecognized critical flags in COPY file header"),
        (HEAD + row(b"1"), "row field count is 1, expected 2"),
        (HEAD + row(b"1", b"2")[:-1], "unexpected EOF in COPY data"),
        (HEAD + struct.pack("!hi", 2, -2), "invalid field size"),
        (HEAD + END + b"x", "received copy data after EOF marker"),
    ],
)
def test_what_is_no_such_data_is_an_error(data: bytes, message: str) -> None:
    for cuts in ((), range(1, len(data))):
        problem = rows(BINARY, AB, data, cuts)[1]
        assert problem is not None
        assert problem.message == message


def test_a_row_that_says_that_it_is_too_long_is_not_waited_for() -> None:
    reader = BINARY.reader(AB, 1000)
    reader.feed(HEAD + struct.pack("!hi", 2, 1001))
    assert reader.problem is not None
    assert reader.problem.sqlstate == "54000"
