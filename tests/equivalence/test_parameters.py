"""A bind parameter for the tenant column: the own key answers as in a private database, ParameterDescription and all;
anything else is refused, and changes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import partial

import pytest

from proxy.sql.oids import INT2, INT4, INT8, TEXT, UUID, VARCHAR
from tests.equivalence.compare import Seen, observe
from tests.kit.checksums import foreign_checksums
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient

UID = "00000000-0000-4000-8000-000000000001"
Value = tuple[bytes | None, int]  # as sent, and in which format

STATEMENTS: list[tuple[str, tuple[int, ...], tuple[Value, ...]]] = [
    ("INSERT INTO customers (tenant_id, id, name) VALUES ($1, $2, $3)", (), ((b"1", 0), (b"960", 0), (b"x", 0))),
    (
        "INSERT INTO customers VALUES ($1, $2, $3) RETURNING tenant_id, id",
        (INT4, INT8, TEXT),
        ((b"\0\0\0\1", 1), (b"961", 0), (b"x", 0)),
    ),
    # psycopg 3 declares 1 as int2; the column is int4
    ("INSERT INTO customers VALUES ($1, 962, 'x')", (INT2,), ((b"\0\1", 1),)),
    ("INSERT INTO customers VALUES ($2, $1, 'x')", (INT4, INT8), ((b"963", 0), (b"1", 0))),
    ("INSERT INTO customers VALUES ($1::int, 964, 'x')", (), ((b"1", 0),)),
    ("INSERT INTO customers SELECT $1, id + 1000, name FROM products WHERE id < $2", (), ((b"1", 0), (b"4", 0))),
    ("INSERT INTO notes (id, body, tenant) VALUES (965, $2, $1)", (), ((b"acme", 0), (b"x", 0))),
    # JDBC declares strings as varchar; the column is text
    ("INSERT INTO notes VALUES ($1, 966, 'x') RETURNING *", (VARCHAR,), ((b"acme", 1),)),
    ("INSERT INTO documents VALUES ($1, 967, 'x', 'y') RETURNING title", (), ((UID.encode(), 0),)),
    ("INSERT INTO documents VALUES ($1, 968, 'x', 'y')", (UUID,), ((bytes.fromhex(UID.replace("-", "")), 1),)),
    ("UPDATE orders SET tenant_id = $1, note = $2 WHERE id = $3", (), ((b"1", 0), (b"x", 0), (b"3", 0))),
    ("UPDATE orders SET tenant_id = $1 WHERE tenant_id = $1 AND id = 3 RETURNING qty", (), ((b"1", 0),)),
    ("UPDATE orders SET (note, tenant_id) = ROW($2, $1) WHERE id = 3 RETURNING note", (), ((b"1", 0), (b"x", 0))),
    (
        "INSERT INTO customers VALUES ($1, 1, 'x') ON CONFLICT (tenant_id, id) DO UPDATE SET tenant_id = $1, name = $2",
        (),
        ((b"1", 0), (b"x", 0)),
    ),
]
OTHERS: list[tuple[tuple[int, ...], Value]] = [
    ((), (b"2", 0)), ((), (b"01", 0)), ((), (b" 1", 0)), ((), (b"1.0", 0)), ((), (b"", 0)), ((), (None, 0)),
    ((), (b"\0\0\0\2", 1)), ((), (b"1", 1)), ((INT8,), (b"\0\0\0\1", 1)), ((TEXT,), (b"1", 0)), ((), (b"1", 7)),
]  # fmt: skip


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as running:
        yield running


def played(client: RawClient, text: str, types: Sequence[int], values: Sequence[Value]) -> list[Seen]:
    """Parse, Describe of the statement, Bind, Execute, Sync inside a transaction that is rolled back."""
    formats = struct.pack(f"!h{len(values)}h", len(values), *(form for _, form in values))
    given = struct.pack("!h", len(values))
    for value, _ in values:
        given += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    with client:
        client.simple("BEGIN")
        client.send("P", b"\0" + text.encode() + b"\0" + struct.pack(f"!h{len(types)}i", len(types), *types))
        client.send("D", b"S\0")
        client.send("B", b"\0\0" + formats + given + b"\0\0")
        client.send("E", b"\0\0\0\0\0")
        client.send("S")
        seen = observe(client.collect(), ordered=False)
        client.simple("ROLLBACK")
    return seen


@pytest.mark.parametrize(("text", "types", "values"), STATEMENTS, ids=range(len(STATEMENTS)))
def test_the_own_key_answers_as_in_a_private_database(
    shared_server: Cluster, proxy: Proxy, text: str, types: tuple[int, ...], values: tuple[Value, ...]
) -> None:
    private = partial(RawClient, "127.0.0.1", shared_server.port, "app", "private1")
    expected = played(private(), text, types, values)
    assert not [one for one in expected if one[0] == "E"]
    assert played(proxy.connect("acme_app"), text, types, values) == expected


@pytest.mark.parametrize(("types", "value"), OTHERS, ids=range(len(OTHERS)))
def test_anything_else_is_refused_with_one_answer_and_changes_nothing(
    shared_server: Cluster, proxy: Proxy, types: tuple[int, ...], value: Value
) -> None:
    before = foreign_checksums(shared_server, "shared", 1)
    for text in ("INSERT INTO customers VALUES ($1, 970, 'x')", "UPDATE customers SET tenant_id = $1 WHERE id = 1"):
        errors = [one for one in played(proxy.connect("acme_app"), text, types, (value,)) if one[0] == "E"]
        message = 'new row violates row-level security policy for table "customers"'
        assert [one[:4] for one in errors] == [("E", "ERROR", "42501", message)]
    assert foreign_checksums(shared_server, "shared", 1) == before
