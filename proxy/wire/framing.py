"""HOT: where messages end. Ints and bytes in, ints out; nothing is decoded and no message becomes an object.

Every read from a server passes through `scan`, once per message of every row, so this file is plain typed loops that a
compiler could take as they are. Lengths are always walked header by header: how a buffer ends is never a reason to
believe what is in it. Judging a header that `scan` stopped at is the caller's: it looks, and refuses or waits.
Source: PostgreSQL documentation, "Message Formats": one byte of type, then int32 length, which counts itself but not
the type.
"""

from __future__ import annotations

from struct import Struct

Mark = tuple[int, int, int]
"""(type byte, start, end): one whole watched message of a buffer; its body is buffer[start + 5 : end]."""

HEADER = 5
_HEADER = Struct(">BI")  # type byte and length
_LENGTH = Struct(">I")
MAX_ALLOC_SIZE = 0x3FFFFFFF  # of PostgreSQL
_READY = b"Z\0\0\0\5"  # ReadyForQuery without its transaction status

RELAYED = 0  # rows and copy data: passed on in pieces, never looked at
WATCHED = 1  # small, and of consequence: found whole
REFUSED = 2  # not a message of this phase


def kinds(relayed: bytes, watched: bytes) -> bytes:
    """A table of 256 kinds by type byte: RELAYED, WATCHED, and REFUSED for whatever is in neither."""
    table = bytearray([REFUSED]) * 256
    for tag in relayed:
        table[tag] = RELAYED
    for tag in watched:
        table[tag] = WATCHED
    return bytes(table)


# What a server may send. W (CopyBothResponse) and V (FunctionCallResponse) answer what the proxy never asks.
ALWAYS = b"ZENSAGH"  # state, errors and notices, asynchronous messages, the begin of a copy
LOGIN = kinds(relayed=b"", watched=b"RKZENSv")
FULL = kinds(relayed=b"Ddc", watched=ALWAYS + b"C123ntTsI")
ROWS_OR_NONE = -1  # whole_reply: a RowDescription may come, or nothing


def length_at(buffer: bytes, offset: int) -> int:
    """The unsigned int32 at `offset`. The caller made sure that four bytes are there."""
    length: int = _LENGTH.unpack_from(buffer, offset)[0]
    return length


def scan(buffer: bytes, offset: int, table: bytes, marks: list[Mark]) -> tuple[int, int, int]:
    """Walks headers from `offset`; returns (offset, messages, rows) and appends watched messages to `marks`. A row is a
    DataRow or a CopyData, which in a COPY TO of text holds one.

    The offset returned is that of the first message that could not be passed: its header is cut, it is watched and not
    whole, its length is below 4 or above 1 GB, or its type is REFUSED. It lies beyond the buffer's end when a relayed
    message has bytes still to come; that message is counted.
    """
    header = _HEADER.unpack_from
    size = len(buffer)
    last = size - HEADER
    messages = 0
    rows = 0
    while offset <= last:
        tag, length = header(buffer, offset)
        if not 4 <= length <= MAX_ALLOC_SIZE:
            break
        kind = table[tag]
        end = offset + 1 + length
        if kind == RELAYED:
            if tag != 99:  # CopyDone
                rows += 1
        elif kind == WATCHED and end <= size:
            marks.append((tag, offset, end))
        else:
            break
        messages += 1
        offset = end
    return offset, messages, rows


def whole_reply(buffer: bytes, lead: bytes, described: int) -> int:
    """How many DataRows there are when `buffer` from begin to end is the reply to one statement that completed: the
    bytes `lead`, RowDescription or NoData, DataRows, CommandComplete, ReadyForQuery; -1 when it is not. `described`: 1:
    a description must come; 0: none; ROWS_OR_NONE.
    """
    last = len(buffer) - 6
    if last < len(lead) or buffer[last:-1] != _READY or not buffer.startswith(lead):
        return -1
    header = _HEADER.unpack_from
    offset = len(lead)
    if described:
        tag, length = header(buffer, offset)
        if length < 4:
            return -1
        if tag == 84 or (tag == 110 and described == 1):
            offset += 1 + length
        elif described == 1:
            return -1
    rows = 0
    while offset < last:
        tag, length = header(buffer, offset)
        offset += 1 + length
        if tag != 68 or length < 4:
            return rows if tag == 67 and offset == last and length >= 4 else -1
        rows += 1
    return -1
