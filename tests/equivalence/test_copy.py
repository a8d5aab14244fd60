"""COPY both ways: what a private database says of the same bytes, well formed or not, in pieces of any size."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.kit.checksums import foreign_checksums
from tests.kit.postgres import Cluster
from tests.kit.proxy import running_proxy
from tests.kit.rawclient import Exchange, RawClient
from tests.kit.sample import pristine

# Without keys, so that nothing but the form of the data decides.
PLAIN = """CREATE TABLE plain (tenant_id int NOT NULL{}, v text, w text, n int);
GRANT SELECT, INSERT, UPDATE, DELETE ON plain TO app;"""
BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)


@dataclass(frozen=True)
class Pair:
    """The same tenant, through the proxy and alone."""

    proxied: RawClient
    private: RawClient
    major: int

    def same(
        self, statement: str, data: bytes, cuts: list[int], then: str = "", end: bytes = b""
    ) -> list[tuple[object, ...]]:
        """What both say, which must be one thing; `then` looks at what is there afterwards, before it is undone."""
        ours, theirs = (tell(one, statement, data, cuts, then, end) for one in (self.proxied, self.private))
        assert ours == theirs, (statement, data, cuts)
        return ours


def tell(
    client: RawClient, statement: str, data: bytes, cuts: list[int], then: str, end: bytes
) -> list[tuple[object, ...]]:
    client.simple("BEGIN")
    told = said(client.simple(statement))
    if told[-1][0] == "G":
        bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        for begin, stop in pairwise(bounds):
            client.send("d", data[begin:stop])
        if end:
            client.send("f", end)
        else:
            client.send("c")
        told += said(client.collect("ZG"))
    if then:
        told += said(client.simple(then))
    client.simple("ROLLBACK")
    return told


def said(exchange: Exchange) -> list[tuple[object, ...]]:
    """Every message; of errors and notices what a client can read, CONTEXT and position too."""
    told: list[tuple[object, ...]] = []
    for one in exchange.messages:
        if one.tag in "EN":
            fields = {part[:1].decode(): part[1:].decode() for part in one.body.split(b"\0") if part}
            told.append((one.tag, *((name, fields[name]) for name in "SCMDHWP" if name in fields)))
        elif one.tag != "T":  # it holds numbers of each database's own
            told.append((one.tag, one.body))
    return told


@pytest.fixture(scope="module")
def pair(shared_server: Cluster) -> Iterator[Pair]:
    with pristine(shared_server) as shared, pristine(shared_server, "private1") as private:
        shared_server.psql(shared, PLAIN.format(""))
        shared_server.psql(private, PLAIN.format(" DEFAULT 1"))
        before = foreign_checksums(shared_server, shared, 1)
        with (
            running_proxy(shared_server.port, shared) as proxy,
            proxy.connect("acme_app") as proxied,
            RawClient("127.0.0.1", shared_server.port, "app", private) as alone,
        ):
            yield Pair(proxied, alone, shared_server.major)
        assert foreign_checksums(shared_server, shared, 1) == before


# ---------------------------------------------------------------------------------------------- any bytes

TEXT = (
    b"a\tb\t1\n", b"a\tb\t1\n", b"\\N\tx\\\ny\t2\n", b"a\tb\t1\r\n", b"a\tb\t1\r", b"\\.\n", b"\\.", b"\\.\r\n",
    b"\n", b"\r", b"\\", b"\t", b"2\t2\t2\t2\n", b"\xff", b"\xc3", b"\xc3\xa9\t\\x41\t3\n", b"\x00", b"a\tb\n",
    b"a\tb\tx\n", b"\\\t", b"2\t",
)  # fmt: skip
CSV = (
    b"a,b,1\n", b"a,b,1\n", b'"a\n2,""x",b,1\n', b"a,b,1\r\n", b"a,b,1\r", b"\\.\n", b"\\.", b"\\.\r\n", b"\n", b"\r",
    b'"', b",", b"\\", b'"2,2,2,2\n"', b"2,2,2,2\n", b"\xff", b'"\\""', b"'", b"^'", b",,\n", b"a,b,x\n", b"v,w,n\n",
    b"\x00",
)  # fmt: skip
CUTS = st.lists(st.integers(0, 200), max_size=4)
# A lone carriage return, of which the server wants to see the next byte, and cannot: it is an error in the line before.
UNSURE = re.compile(rb"\r[\0\x80-\xff]")
LOOK = "SELECT tenant_id, v, w, n FROM plain ORDER BY v, w, n"
TEXT_OPTIONS = st.sampled_from(("", "(HEADER match)", "(NULL 'a', DELIMITER 'B')", "(NULL '1')", "(DEFAULT '\\D')"))
CSV_OPTIONS = st.sampled_from((
    "CSV", "CSV HEADER", "(FORMAT csv, HEADER match)", "CSV QUOTE '''' ESCAPE '^'", "CSV ESCAPE '\\'",
    "CSV QUOTE '\\'", "(FORMAT csv, FORCE_NULL (v), FORCE_NOT_NULL (w), NULL '1')",
))  # fmt: skip


@given(TEXT_OPTIONS, st.lists(st.sampled_from(TEXT), max_size=5).map(b"".join), CUTS)
def test_any_text_is_taken_or_refused_as_by_a_database_of_its_own(
    pair: Pair, options: str, data: bytes, cuts: list[int]
) -> None:
    assume(not UNSURE.search(data))
    pair.same(f"COPY plain (v, w, n) FROM STDIN {options}", data, cuts, LOOK)


@given(CSV_OPTIONS, st.lists(st.sampled_from(CSV), max_size=5).map(b"".join), CUTS)
def test_any_csv_is_taken_or_refused_as_by_a_database_of_its_own(
    pair: Pair, options: str, data: bytes, cuts: list[int]
) -> None:
    assume(not UNSURE.search(data))
    pair.same(f"COPY plain (v, w, n) FROM STDIN {options}", data, cuts, LOOK)


FIELDS = (
    b"\x00\x00\x00\x01a", b"\xff\xff\xff\xff", b"\x00\x00\x00\x04\x00\x00\x00\x07", b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xfe", b"\x00\x00\x00\x02\xc3\xa9", b"\x00\x00\x01\x00", b"\x00\x00\x00\x01\xff",
)  # fmt: skip
ROWS = st.lists(
    st.tuples(st.sampled_from([3, 3, 3, 4, 2, 0, -2]), st.lists(st.sampled_from(FIELDS), min_size=3, max_size=3)),
    max_size=3,
)


@given(ROWS, st.sampled_from([b"", b"\xff\xff", b"\xff\xff\0", b"\xff", b"\0"]), CUTS)
def test_any_binary_data_are_taken_or_refused_as_by_a_database_of_its_own(
    pair: Pair, rows: list[tuple[int, list[bytes]]], tail: bytes, cuts: list[int]
) -> None:
    data = BINARY_HEADER + b"".join(struct.pack("!h", count) + b"".join(fields) for count, fields in rows) + tail
    pair.same("COPY plain (v, w, n) FROM STDIN BINARY", data, cuts, LOOK)
    pair.same("COPY plain (v, w, n) FROM STDIN BINARY", data[len(cuts) :], cuts)


# ---------------------------------------------------------------------------------------------- each form

OUT = [
    "COPY orders TO STDOUT", "COPY orders (id, note) TO STDOUT WITH CSV HEADER FORCE QUOTE note",
    "COPY customers TO STDOUT BINARY", "COPY BINARY notes TO STDOUT",
    "COPY documents TO STDOUT (FORMAT csv, FORCE_QUOTE *)", "COPY categories TO STDOUT",
    'COPY "Order Details" TO STDOUT WITH DELIMITER \'|\' NULL \'none\'',
    "COPY (SELECT count(*) FROM orders) TO STDOUT", "COPY (UPDATE orders SET note = 'n' RETURNING id) TO STDOUT",
    "COPY (DELETE FROM notes) TO STDOUT", "COPY events TO STDOUT", "COPY orders (id) TO STDOUT (ENCODING 'latin1')",
    "COPY open_orders TO STDOUT", "COPY nosuch TO STDOUT", "COPY orders (nosuch) TO STDOUT",
    "COPY orders (id, id) TO STDOUT", "COPY orders TO STDOUT (FORMAT xml)", "COPY orders TO STDOUT (nosuch 1)",
    "COPY orders TO STDOUT (DELIMITER 'ab')", "COPY orders (amount_cents) TO STDOUT",
    "COPY orders TO STDOUT CSV QUOTE 'ab'", "COPY orders TO STDOUT (HEADER match)", "COPY orders TO STDOUT CSV CSV",
    "COPY (SELECT 1 AS a, 'x''y' AS b) TO STDOUT CSV HEADER; SELECT 2", "COPY (VALUES (1), (2)) TO STDOUT",
    "COPY orders TO '/tmp/x'", "COPY (SELECT 1) TO PROGRAM 'cat'",
]  # fmt: skip


@pytest.mark.parametrize("statement", OUT)
def test_every_form_to_the_client_says_the_same(pair: Pair, statement: str) -> None:
    pair.same(statement, b"", [])


INTO = [
    ("COPY plain FROM STDIN", b"1\ta\tb\t1\n1\tc\td\t\\N\n"),
    ("COPY plain (n, tenant_id, v) FROM STDIN CSV", b'1,1,x\n2,"1",y\n3, 1,z\n'),
    ("COPY plain FROM STDIN (ENCODING 'latin1')", b"1\t\xe9\tb\t1\n"),
    ("COPY plain (v) FROM STDIN (FORMAT csv, NULL '')", b'\n""\n'),
    ("COPY plain (v, n) FROM STDIN WHERE n > 1 AND v <> 'x'", b"a\t1\nb\t2\nx\t3\n"),
    ("COPY plain (v, n) FROM STDIN WHERE 1 / n > 0", b"a\t1\nb\t0\n"),
    ("COPY plain (v, n) FROM STDIN WHERE nosuch > 0", b""),
    ("COPY plain (v) FROM STDIN (FORMAT csv, FORCE_NULL (w))", b""),
    ("COPY plain (v) FROM STDIN (NULL E'a\\nb')", b""),
    ("COPY plain (v) FROM STDIN CSV QUOTE ','", b""),
    ("COPY plain (v) FROM STDIN (HEADER)", b"v\na\n"),
    ("COPY plain (v) FROM STDIN (FORMAT csv, HEADER match)", b"w\na\n"),
    ("COPY plain (v, w) FROM STDIN (FORMAT csv, HEADER match)", b"v\na\n"),
    ("COPY plain (v, n) FROM STDIN", b"a\tx\n"),
    ("COPY plain (v, n) FROM STDIN (ON_ERROR ignore, LOG_VERBOSITY verbose)", b"a\tx\nb\t2\n"),
    ("COPY plain (v, n) FROM STDIN (ON_ERROR ignore, REJECT_LIMIT 1)", b"a\tx\nb\ty\n"),
    ("COPY plain (v, n) FROM STDIN (DEFAULT '\\D')", b"\\D\t1\n"),
    ("COPY plain (v, n) FROM STDIN (HEADER on, DELIMITER ';', NULL 5)", b"v;n\n5;5\n"),
    ("COPY plain (v, n) FROM STDIN (FORMAT csv, HEADER 1)", b"x,y\na,1\n"),
    ("COPY plain (v, n) FROM STDIN (FORMAT csv, HEADER 0, FREEZE off)", b"x,1\n"),
    ("COPY plain (v, n) FROM STDIN", b"a\t1\tx\n"),
    ("COPY plain (v, n) FROM STDIN", b"a\n"),
    ("COPY plain (v, w) FROM STDIN (FORMAT csv, QUOTE 'q', ESCAPE 'e', DELIMITER 'd')", b"qaeqbqdx\nqcqdqyq\n"),
    ("COPY notes (id, body) FROM STDIN (NULL 'acme')", b"990\tacme\n"),
    ("COPY notes (id, body) FROM STDIN (DELIMITER 'A', NULL '')", b"990Ax\n"),
    ("COPY documents (id, title, body) FROM STDIN CSV", b"990,t,b\n"),
    ("COPY customers (id, name) FROM STDIN", b"990\tnew\n1\ttaken\n"),
    ("COPY customers (id) FROM STDIN", b"990\n"),
    ("COPY orders (id, customer_id, secret) FROM STDIN", b"990\t1\ts\n991\t99999\ts\n"),
    ("COPY orders (id, customer_id, secret, status) FROM STDIN", b"990\t1\ts\tnosuch\n"),
    ("COPY events (id, kind, at) FROM STDIN CSV", b"990,k,2024-01-01\n"),
    ("COPY nosuch FROM STDIN", b""),
    ("COPY plain (nosuch) FROM STDIN", b""),
    ("COPY plain FROM '/etc/passwd'", b""),
    ("COPY plain FROM PROGRAM 'id'", b""),
]


@pytest.mark.parametrize(("statement", "data"), INTO)
def test_every_form_from_the_client_says_the_same(pair: Pair, statement: str, data: bytes) -> None:
    look = (
        "SELECT tenant_id, v, w, n FROM plain ORDER BY v, w, n"
        if "plain" in statement
        else "SELECT count(*) FROM notes"
    )
    pair.same(statement, data, [1, 4], look)


def test_an_answer_to_giving_up_is_the_servers(pair: Pair) -> None:
    told = pair.same("COPY plain (v) FROM STDIN", b"a\nb", [2], "", b"changed my mind\0")
    assert "COPY from stdin failed: changed my mind" in str(told)


def test_two_copies_in_one_text_have_their_own_data(pair: Pair) -> None:
    answers = []
    for client in (pair.proxied, pair.private):
        client.simple("BEGIN")
        client.simple("COPY plain (v) FROM STDIN; COPY plain (n) FROM STDIN CSV; SELECT count(*) FROM plain")
        client.send("d", b"a\nb\n")
        client.send("c")
        told = said(client.collect("ZG"))
        client.send("d", b"7\n8\n")
        client.send("c")
        told += said(client.collect()) + said(client.simple(LOOK))
        client.simple("ROLLBACK")
        answers.append(told)
    assert answers[0] == answers[1]
    assert str(answers[0]).count("COPY 2") == 2


def test_a_foreign_row_is_refused_with_one_answer_whatever_it_holds(pair: Pair) -> None:
    answers = set()
    for value in (b"2", b"3", b"99", b"\\N"):
        pair.proxied.simple("BEGIN")
        pair.proxied.simple("COPY plain FROM STDIN")
        (error,) = pair.proxied.copy_data(b"1\ta\tb\t1\n" + value + b"\ta\tb\t1\n").errors
        pair.proxied.simple("ROLLBACK")
        answers.add((error["C"], error["M"], error.get("D"), error.get("H")))
    assert answers == {("42501", 'new row violates row-level security policy for table "plain"', None, None)}


def test_a_temporary_table_is_copied_as_it_is(pair: Pair) -> None:
    answers = []
    for client in (pair.proxied, pair.private):
        client.simple("BEGIN")
        client.simple("CREATE TEMP TABLE mine (a int, b text) ON COMMIT DROP")
        told = said(client.simple("COPY mine (b, a) FROM STDIN WHERE a > 1"))
        told += said(client.copy_data(b"x\t1\ny\t2\nz\t3\n"))
        told += said(client.simple("COPY mine TO STDOUT CSV HEADER")) + said(client.simple("COPY mine (c) TO STDOUT"))
        client.simple("ROLLBACK")
        answers.append(told)
    assert answers[0] == answers[1]
    assert ("d", b"3,z\n") in answers[0]


def test_a_cancelled_copy_ends_at_its_next_row(pair: Pair) -> None:
    answers = []
    for client in (pair.proxied, pair.private):
        client.simple("BEGIN")
        client.simple("COPY plain (v) FROM STDIN")
        client.send("d", b"a\n")
        process_id, secret = client.key
        with socket.create_connection(client.socket.getpeername(), 10) as raw:
            raw.sendall(struct.pack("!iii", 12 + len(secret), 80877102, process_id) + secret)
            assert raw.recv(1) == b""  # it was passed on
        told = client.copy_data(b"b\n" * 1000)
        answers.append([(error["C"], error["M"]) for error in told.errors] + [told.status])
        client.simple("ROLLBACK")
    assert answers[0] == answers[1] == [("57014", "canceling statement due to user request"), "E"]
