"""Rows that try to be another tenant's: each trick on record, and the server's own condition with nobody before it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from proxy.sql.plan import FOREIGN_ROW, PlanContext
from proxy.sql.planner import Planner
from tests.kit.checksums import foreign_checksums
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.sample import pristine
from tests.sql.worlds import keys_of, sample_catalog, sample_policy

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)


def field(value: bytes) -> bytes:
    return struct.pack("!i", len(value)) + value


TWO = field(b"\0\0\0\2")
EVIL = struct.pack("!h", 3) + TWO + field(struct.pack("!i", 970)) + field(b"evil")

# What it tries -> statement and data. A row that gets through is the tenant's own, with evil in another column.
TRICKS: dict[str, tuple[str, bytes]] = {
    "a row in quotes": ("COPY customers (id, name) FROM STDIN CSV", b'970,"a\n2,971,evil\n"\n'),
    "a quote that does not close": ("COPY customers (id, name) FROM STDIN CSV", b'970,"a\n2,971,evil\n'),
    "a quote in the middle": ("COPY customers (id, name) FROM STDIN CSV", b'970,a"\n2,971,evil\n"b\n'),
    "an escaped quote": ("COPY customers (id, name) FROM STDIN CSV ESCAPE '\\'", b'970,"a\\"\n2,971,evil\n"\n'),
    "an escaped escape": ("COPY customers (id, name) FROM STDIN CSV ESCAPE '\\'", b'970,"a\\\\"\n2,971,evil\n'),
    "the quote as escape marker": ("COPY customers (id, name) FROM STDIN CSV QUOTE '\\'", b"970,\\a\n2,971,evil\n\\\n"),
    "a newline behind a backslash": ("COPY customers (id, name) FROM STDIN", b"970\ta\\\n2\t971\tevil\n"),
    "two backslashes": ("COPY customers (id, name) FROM STDIN", b"970\ta\\\\\n2\t971\tevil\n"),
    "another newline": ("COPY customers (id, name) FROM STDIN", b"970\ta\r2\t971\tevil\r"),
    "mixed newlines": ("COPY customers (id, name) FROM STDIN", b"970\ta\r\n2\t971\tevil\n"),
    "an end that is none": ("COPY customers (id, name) FROM STDIN", b"970\ta\n\\.2\t971\tevil\n"),
    "data behind the end": ("COPY customers (id, name) FROM STDIN", b"970\ta\n\\.\n2\t971\tevil\n"),
    "an end of CSV": ("COPY customers (id, name) FROM STDIN CSV", b"970,a\n\\.\n2,971,evil\n"),
    "too many fields": ("COPY customers (id, name) FROM STDIN", b"2\t970\tevil\n"),
    "too few fields": ("COPY customers (id, name) FROM STDIN", b"970\n"),
    "our delimiter is another": ("COPY customers (id, name) FROM STDIN (DELIMITER '|')", b"2\t970|evil\n2|971|evil\n"),
    "NULL is the key": ("COPY customers (id, name) FROM STDIN (NULL '1')", b"970\ta\n"),
    "NULL is the written key": ("COPY customers (id, name) FROM STDIN (NULL '\\061')", b"970\ta\n"),
    "NULL is a name": ("COPY notes (id, body) FROM STDIN (NULL 'acme')", b"970\tx\n"),
    "bytes that are no text": ("COPY customers (id, name) FROM STDIN", b"970\ta\xc3\n2\t971\tevil\n"),
    "a NUL": ("COPY customers (id, name) FROM STDIN", b"970\ta\0\n2\t971\tevil\n"),
    "a header that is a row": ("COPY customers (id, name) FROM STDIN (HEADER)", b"2\t970\tevil\n2\t971\tevil\n"),
    "a header in quotes": ("COPY customers (id, name) FROM STDIN CSV HEADER", b'id,"name\n2,971,evil\n"\n970,a\n'),
    "a binary row with the key": ("COPY customers (id, name) FROM STDIN BINARY", HEADER + EVIL),
    "a binary row in a value": (
        "COPY customers (id, name) FROM STDIN BINARY",
        HEADER + struct.pack("!h", 2) + field(struct.pack("!i", 970)) + field(EVIL) + b"\xff\xff",
    ),
    "a binary trailer before a row": ("COPY customers (id, name) FROM STDIN BINARY", HEADER + b"\xff\xff" + EVIL),
    "a binary row in the header": (
        "COPY customers (id, name) FROM STDIN BINARY",
        HEADER[:-4] + struct.pack("!i", len(EVIL)) + EVIL + EVIL,
    ),
    "a negative length": (
        "COPY customers (id, name) FROM STDIN BINARY", HEADER + struct.pack("!hi", 2, -7) + EVIL,
    ),
    "the key of another": ("COPY customers (tenant_id, id, name) FROM STDIN", b"2\t970\tevil\n"),
    "the key of another in the middle": ("COPY customers (id, tenant_id, name) FROM STDIN CSV", b'970,"2",evil\n'),
    "no key": ("COPY customers (tenant_id, id, name) FROM STDIN", b"\\N\t970\tevil\n"),
    "all columns": ("COPY notes FROM STDIN CSV", b"globex,970,evil,,2024-01-01\n"),
    "a condition that is always true": (
        "COPY customers (tenant_id, id, name) FROM STDIN WHERE true OR tenant_id = 2", b"2\t970\tevil\n",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    server: Cluster
    proxy: Proxy


@pytest.fixture(scope="module")
def place(shared_server: Cluster) -> Iterator[Place]:
    with pristine(shared_server) as database, running_proxy(shared_server.port, database) as proxy:
        yield Place(shared_server, proxy)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_no_trick_makes_a_row_another_tenants(place: Place, size: int) -> None:
    before = foreign_checksums(place.server, place.proxy.database, 1)
    for name, (statement, data) in TRICKS.items():
        with place.proxy.connect("acme_app") as client:
            assert client.simple(statement).messages[-1].tag == "G", name
            for at in range(0, len(data), size):
                client.send("d", data[at : at + size])
            client.send("c")
            told = client.collect()
            assert told.status == "I", name
            assert not any("globex" in str(error) and b"globex" not in data for error in told.errors), name
            client.simple("DELETE FROM customers WHERE id >= 970")
            client.simple("DELETE FROM notes WHERE id >= 970")
    assert foreign_checksums(place.server, place.proxy.database, 1) == before


@pytest.mark.parametrize(
    ("options", "data"),
    [
        ("", b"2\t980\tevil\n"),
        ("", b"\\N\t980\tevil\n"),
        ("CSV", b"2,980,evil\n"),
        ("BINARY", HEADER + EVIL + b"\xff\xff"),
    ],
)
def test_the_server_refuses_a_foreign_row_though_nobody_prepared_the_data(
    place: Place, options: str, data: bytes
) -> None:
    """What is sent for COPY customers (id, name) FROM STDIN, given rows that a scanner had not touched."""
    planner = Planner(sample_catalog(place.server.port), 1 << 20)
    text = f"COPY customers (id, name) FROM STDIN {options}".encode()
    (sent,) = planner.explain_text(planner.plan(text, PlanContext(sample_policy(), 1)), keys_of(1))
    with RawClient("127.0.0.1", place.server.port, "app", place.proxy.database) as client:
        assert client.simple(sent).messages[-1].tag == "G"
        (error,) = client.copy_data(data).errors
        assert error["C"] == "22P02"
        assert FOREIGN_ROW in error["M"]
        assert client.simple("SELECT count(*) FROM customers WHERE id = 980").rows == [(b"0",)]
