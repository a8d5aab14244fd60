"""COPY FROM behind row-level security, which goes in as INSERTs: what a private database says of the same bytes."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.equivalence.test_copy import (
    BINARY_HEADER,
    CSV,
    CSV_OPTIONS,
    CUTS,
    INTO,
    LOOK,
    PLAIN,
    ROWS,
    TEXT,
    TEXT_OPTIONS,
    UNSURE,
    Pair,
    said,
    tell,
)
from tests.kit.checksums import foreign_checksums
from tests.kit.postgres import Cluster
from tests.kit.proxy import running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rls import WALLED, load_walled, provision_walls, rls_grants, rls_rules
from tests.kit.sample import pristine

REFUSED = re.compile("ON_ERROR ignore|latin1")


@pytest.fixture(scope="module", params=["rls", "row+rls"])
def pair(shared_server: Cluster, request: pytest.FixtureRequest) -> Iterator[Pair]:
    mode = request.param
    with pristine(load_walled(shared_server), WALLED) as walled, pristine(shared_server, "private1") as private:
        shared_server.psql(walled, PLAIN.format(""))
        provision_walls(shared_server, walled, rls_grants(shared_server.port, walled, mode))
        shared_server.psql(private, PLAIN.format(" DEFAULT 1"))
        before = foreign_checksums(shared_server, walled, 1)
        with (
            running_proxy(shared_server.port, walled, rules=rls_rules(shared_server.port, walled, mode)) as proxy,
            proxy.connect("acme_app") as proxied,
            RawClient("127.0.0.1", shared_server.port, "app", private) as alone,
        ):
            yield Pair(proxied, alone, shared_server.major)
        assert foreign_checksums(shared_server, walled, 1) == before


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


@given(ROWS, st.sampled_from([b"", b"\xff\xff", b"\xff\xff\0", b"\xff", b"\0"]), CUTS)
def test_any_binary_data_are_taken_or_refused_as_by_a_database_of_its_own(
    pair: Pair, rows: list[tuple[int, list[bytes]]], tail: bytes, cuts: list[int]
) -> None:
    data = BINARY_HEADER + b"".join(struct.pack("!h", count) + b"".join(fields) for count, fields in rows) + tail
    statement = "COPY plain (v, w, n) FROM STDIN BINARY"
    pair.same(statement, data[len(cuts) :] if cuts else b"", cuts)
    ours, theirs = (tell(one, statement, data, cuts, LOOK, b"") for one in (pair.proxied, pair.private))
    if ours != theirs:  # where a row is none, nothing has looked at its values yet
        assert [one[0] for one in ours] == [one[0] for one in theirs]
        assert "22P04" in str(ours)


@pytest.mark.parametrize(("statement", "data"), INTO)
def test_every_form_from_the_client_says_the_same(pair: Pair, statement: str, data: bytes) -> None:
    look = (
        "SELECT tenant_id, v, w, n FROM plain ORDER BY v, w, n"
        if "plain" in statement
        else "SELECT count(*) FROM notes"
    )
    ours, theirs = (tell(one, statement, data, [1, 4], look, b"") for one in (pair.proxied, pair.private))
    if REFUSED.search(statement) and theirs[0][0] == "G":
        assert ("C", "0A000") in ours[0]
        return
    assert as_inserted(ours) == as_inserted(theirs)


def as_inserted(told: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Without what is not known of a row that the server did not take: its text, and DETAIL."""
    found: list[tuple[object, ...]] = []
    for tag, *parts in told:
        fields: dict[str, str] = dict(filter(lambda one: isinstance(one, tuple), parts))  # type: ignore[arg-type]  # fields
        unsure = tag == "E" and str(fields.get("C"))[:2] in ("22", "23")
        found.append((tag, fields["C"], fields["M"], "H" in fields) if unsure else (tag, *parts))
    return found


def test_an_answer_to_giving_up_is_the_servers(pair: Pair) -> None:
    told = pair.same("COPY plain (v) FROM STDIN", b"a\nb", [2], "", b"changed my mind\0")
    assert "COPY from stdin failed: changed my mind" in str(told)


def test_many_rows_go_in_whole_or_not_at_all(pair: Pair) -> None:
    rows = b"".join(b"a\tb\t%d\n" % one for one in range(1000))
    for end in (b"", b"a\tb\tx\n", b"a\n"):
        pair.same("COPY plain (v, w, n) FROM STDIN", rows + end, [], LOOK)
        answers = []
        for client in (pair.proxied, pair.private):
            client.simple("COPY plain (v, w, n) FROM STDIN")
            told = said(client.copy_data(rows + end)) + said(client.simple("SELECT count(*), sum(n) FROM plain"))
            answers.append(told + said(client.simple("DELETE FROM plain")))
        assert answers[0] == answers[1]


def test_it_goes_by_the_extended_protocol_too(pair: Pair) -> None:
    answers = []
    for client in (pair.proxied, pair.private):
        for end in (b"", b"a\tx\n"):
            for tag, body in (
                ("P", b"\0COPY plain (v, n) FROM STDIN\0\0\0"),
                ("D", b"S\0"),
                ("B", b"\0\0\0\0\0\0\0\0"),
                ("E", b"\0\0\0\0\0"),
                ("H", b""),
            ):
                client.send(tag, body)
            told = said(client.collect("G"))
            client.send("d", b"a\t1\nb\t2\n" + end)
            client.send("c")
            client.send("S")
            answers.append(told + said(client.collect()) + said(client.simple("SELECT count(*) FROM plain")))
        client.simple("DELETE FROM plain")
    assert answers[:2] == answers[2:]
    assert "COPY 2" in str(answers[0])


def test_a_cancelled_copy_ends_and_leaves_nothing(pair: Pair) -> None:
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


def test_the_other_tenants_rows_stay_out(pair: Pair) -> None:
    pair.proxied.simple("BEGIN")
    pair.proxied.simple("COPY plain FROM STDIN")
    (error,) = pair.proxied.copy_data(b"1\ta\tb\t1\n2\ta\tb\t1\n").errors
    pair.proxied.simple("ROLLBACK")
    assert (error["C"], error["M"]) == ("42501", 'new row violates row-level security policy for table "plain"')
