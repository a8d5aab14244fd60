"""What two servers' answers to the same block must share: everything a client can see, except OIDs that each database
counts itself.

Row order counts only where the block says that it is fixed. Errors and notices are compared in the fields S, C, M, D, H
and P.
"""

from __future__ import annotations

import struct

from tests.equivalence.corpus import Block
from tests.kit.rawclient import Exchange, RawClient, error_fields, row_description, row_values

FIRST_USER_OID = 16384  # access/transam.h: FirstNormalObjectId
OID = 26  # pg_type: oid
Seen = tuple[object, ...]


def observe(exchange: Exchange, *, ordered: bool) -> list[Seen]:
    """The exchange as comparable values, one for each message; runs of rows are sorted unless their order is fixed."""
    seen: list[Seen] = []
    rows: list[tuple[bytes | None, ...]] = []
    kinds: list[tuple[int, int]] = []
    copied: list[bytes] = []

    def flush() -> None:
        if rows:
            seen.append(("rows", tuple(rows if ordered else sorted(rows, key=repr))))
            rows.clear()
        if copied:
            seen.append(("copy", b"".join(copied if ordered else sorted(copied))))
            copied.clear()

    for message in exchange.messages:
        if message.tag == "D":
            values = row_values(message.body)
            known = len(kinds) == len(values)  # else the last description was another statement's
            rows.append(tuple(_masked(*one) for one in zip(values, kinds, strict=True)) if known else values)
            continue
        if message.tag == "d":
            copied.append(message.body)
            continue
        flush()
        if message.tag == "T":
            columns = row_description(message.body)
            kinds = [(oid, code) for _, oid, code in columns]
            seen.append(("T", tuple((n, oid if oid < FIRST_USER_OID else "user", code) for n, oid, code in columns)))
        elif message.tag == "t":
            oids = struct.unpack(f"!{(len(message.body) - 2) // 4}i", message.body[2:])
            seen.append(("t", tuple(oid if oid < FIRST_USER_OID else "user" for oid in oids)))
        elif message.tag in "EN":
            fields = error_fields(message.body)
            seen.append((message.tag, *(fields.get(letter, "") for letter in "SCMDHP")))
        elif message.tag == "S":
            name, value, _ = message.body.split(b"\0")
            seen.append(("S", name, value))
        elif message.tag == "A":
            seen.append(("A", message.body[4:]))  # behind the number of the notifying process
        else:
            seen.append((message.tag, message.body))
    flush()
    if exchange.closed:
        seen.append(("closed",))
    return seen


def _masked(value: bytes | None, kind: tuple[int, int]) -> bytes | None:
    """A value without the OIDs that each database counts itself."""
    if value is None or kind[0] != OID:
        return value
    number = int.from_bytes(value, "big") if kind[1] else int(value)
    return value if number < FIRST_USER_OID else b"user"


def run_block(client: RawClient, block: Block, protocol: str) -> list[Seen]:
    """Runs one block by "simple" or "extended" protocol and leaves no transaction open. Blocks that read or write
    alone are rolled back.
    """
    ask = client.simple if protocol == "simple" or block.multi else client.extended
    seen: list[Seen] = []
    wrapped = block.kind != "txn"
    if wrapped:
        client.simple("BEGIN")
    for statement in block.statements:
        exchange = ask(statement)
        if exchange.messages and exchange.messages[-1].tag == "G":
            seen += observe(exchange, ordered=block.ordered)
            exchange = client.copy_data((block.data or "").encode(), sync=ask == client.extended)
        seen += observe(exchange, ordered=block.ordered)
        if exchange.closed:
            return seen
    if wrapped or (seen and seen[-1][-1] != b"I"):
        client.simple("ROLLBACK")
    return seen
