"""COPY FROM STDIN: rows reach the server with their column, nothing overtakes the server's word, and errors end it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.quota.budgets import Budgets
from proxy.session import copy
from proxy.session.actions import CloseFrontend
from proxy.session.conversation import Waiting
from proxy.session.events import RowsOverdue
from proxy.session.session import ClientSession
from proxy.sql.copied import CopyIn, CopyOut
from proxy.sql.plan import Forward, Planned, StatementKind, Template
from proxy.tenancy.policy import Limits
from proxy.wire.copyformat import CopyFormat
from proxy.wire.fields import message
from tests.session.conftest import Door, complete, failed, kinds, link, query

SUPPLIED = CopyIn("notes", 2, CopyFormat(), "tenant", "default", "int4")
LISTED = CopyIn("notes", 3, CopyFormat())
IN3 = message(ord("G"), b"\0\0\3\0\0\0\0\0\0")
IN2 = message(ord("G"), b"\0\0\2\0\0\0\0")
DONE, SYNC = message(99, b""), message(83, b"")
PARSE, PARSE_SUPPLIED = (message(80, b"\0COPY " + name + b"\0\0\0") for name in (b"listed", b"supplied"))
BIND, EXECUTE = message(66, b"\0\0\0\0\0\0\0\0"), message(69, b"\0\0\0\0\0")
PARSED, BOUND = b"1\0\0\0\4", b"2\0\0\0\4"


def data(body: bytes) -> bytes:
    return message(100, body)


def waits(session: ClientSession) -> bool:
    """Is nothing more of the client's read?"""
    return session.stalled


class CopyDoor(Door):
    """Plans a text by its words: `supplied`, `listed` and `out` are copies."""

    def lookup(self, text: bytes, parameter_types: tuple[int, ...] = (), extended: bool = False) -> Planned | None:
        plans = []
        for part in text.decode().split(";"):
            form = (
                SUPPLIED if "supplied" in part else CopyOut() if "out" in part else LISTED if "COPY" in part else None
            )
            plans.append(Forward(StatementKind.COPY, Template((part.strip().encode(),)), copy=form))
        return Planned(tuple(plans), shape=text.decode())


@pytest.fixture
def door() -> CopyDoor:
    return CopyDoor(free=[link()])


def test_rows_go_on_with_the_tenant_s_column_and_the_client_counts_its_own(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("COPY supplied"))
    session.backend_data(IN3)
    assert door.take() == IN2
    one.written = b""
    session.data(data(b"1\tx\n2") + data(b"\ty\n"))
    session.data(DONE)
    assert one.written == data(b"1\t1\tx\n1\t2") + data(b"\ty\n") + DONE
    session.backend_data(complete("COPY 2"))
    assert door.take() == complete("COPY 2")
    assert [released[1] for released in door.released] == [False]


def test_rows_that_have_the_column_are_not_touched(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("COPY listed"))
    session.backend_data(IN3)
    assert door.take() == IN3
    one.written = b""
    session.data(data(b"1\t1\t\\") + data(b"") + DONE)
    assert one.written == data(b"1\t1\t\\") + DONE


def test_what_was_held_back_goes_before_the_end(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("COPY supplied"))
    session.backend_data(IN3)
    one.written = b""
    session.data(data(b"1\tx\\"))
    session.data(DONE)
    assert one.written == data(b"1\t1\tx") + data(b"\\") + DONE


def test_data_before_the_servers_word_wait_for_it(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("COPY supplied") + data(b"1\tx\n") + DONE + query("SELECT 1"))
    assert session.waiting is Waiting.COPY
    assert waits(session)
    assert one.written == query("COPY supplied")
    session.backend_data(IN3)
    assert one.written == query("COPY supplied") + data(b"1\t1\tx\n") + DONE
    session.backend_data(complete("COPY 1"))
    assert one.written.endswith(query("SELECT 1"))


def test_data_of_a_copy_that_did_not_begin_are_ignored_and_the_next_query_is_not(
    session: ClientSession, door: Door
) -> None:
    (one,) = door.free
    session.data(query("COPY supplied") + data(b"1\tx\n") + DONE + query("SELECT 1"))
    session.backend_data(failed("42501", "I"))
    assert one.written == query("COPY supplied") + query("SELECT 1")
    assert kinds(door.take()) == "EZ"


def test_an_error_in_the_middle_ends_the_copy_and_what_follows_is_ignored(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("COPY supplied"))
    session.backend_data(IN3)
    session.data(data(b"1\tx\n"))
    session.backend_data(failed("22P04", "I"))
    one.written = b""
    session.data(data(b"2\ty\n") + DONE)
    assert one.written == b""
    assert session.copying is None
    session.data(query("SELECT 1"))
    assert one.written == query("SELECT 1")


def test_giving_up_is_the_servers_to_answer(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("COPY supplied"))
    session.backend_data(IN3)
    one.written = b""
    session.data(data(b"1\tx\\") + message(102, b"no more\0"))
    assert one.written == data(b"1\t1\tx") + message(102, b"no more\0")
    session.backend_data(failed("57014", "I"))
    assert kinds(door.take()) == "GEZ"


def test_each_copy_of_a_text_has_data_of_its_own(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("COPY supplied; COPY listed; SELECT 1"))
    session.backend_data(IN3)
    session.data(data(b"a\tb\n") + DONE + data(b"early\n") + DONE)
    assert waits(session)
    one.written = b""
    session.backend_data(message(67, b"COPY 1\0") + IN3)
    assert one.written == data(b"early\n") + DONE
    session.backend_data(message(67, b"COPY 1\0") + complete("SELECT 1"))
    assert not waits(session)
    assert kinds(door.take()) == "GCGCCZ"


def test_a_pipelined_sync_belongs_to_nobody_once_rows_are_taken(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(PARSE_SUPPLIED + BIND + EXECUTE + SYNC)
    assert not one.written.endswith(SYNC)
    session.backend_data(PARSED + BOUND + IN3)
    session.data(message(72, b"") + data(b"1\tx\n") + DONE + SYNC)
    assert one.written.endswith(data(b"1\t1\tx\n") + DONE + SYNC)
    assert one.written.count(SYNC) == 1
    session.backend_data(complete("COPY 1"))
    assert kinds(door.take()) == "12GCZ"


def test_a_pipelined_sync_ends_a_copy_that_did_not_begin(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(PARSE + BIND + EXECUTE + SYNC + query("SELECT 1"))
    session.backend_data(PARSED + BOUND + failed("42501")[:-6])
    assert one.written.endswith(SYNC + query("SELECT 1"))


def test_an_error_in_the_middle_of_an_extended_copy_skips_to_sync(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(PARSE + BIND + EXECUTE)
    session.backend_data(PARSED + BOUND + IN3)
    session.data(data(b"1\tx\n"))
    session.backend_data(failed("22P04")[:-6])
    one.written = b""
    session.data(data(b"2\n") + DONE + BIND + SYNC)
    assert one.written == SYNC


@pytest.mark.parametrize("sent", [query("SELECT 1"), PARSE, message(88, b""), message(99, b"x")])
def test_anything_else_in_the_middle_of_a_copy_ends_the_session(
    session: ClientSession, door: Door, sent: bytes
) -> None:
    session.data(query("COPY supplied"))
    session.backend_data(IN3)
    door.take()
    session.data(sent)
    assert b"C08P01\0" in door.take()
    assert door.asked(CloseFrontend)
    assert [released[1] for released in door.released] == [True]


@pytest.mark.parametrize("text", ["COPY out", "SELECT 1"])
def test_a_server_that_wants_rows_that_nobody_has_is_out_of_step(session: ClientSession, door: Door, text: str) -> None:
    session.data(query(text))
    session.backend_data(IN3)
    assert b"C08P01\0" in door.take()
    assert [released[1] for released in door.released] == [True]


def test_no_row_goes_to_a_server_that_took_options_which_it_must_refuse(
    session: ClientSession, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "SUPPLIED", replace(SUPPLIED, format=None))
    session.data(query("COPY supplied"))
    session.backend_data(IN3)
    assert b"C08P01\0" in door.take()


def test_rows_of_the_servers_are_relayed_and_only_where_they_are_due(session: ClientSession, door: Door) -> None:
    out = message(ord("H"), b"\0\0\1\0\0")
    session.data(query("COPY out"))
    reply = out + data(b"x\n") + DONE + complete("COPY 1")
    session.backend_data(reply)
    assert door.take() == reply
    session.data(query("COPY listed"))
    session.backend_data(out)
    assert b"C08P01\0" in door.take()


def test_a_key_that_has_no_form_is_refused_before_anything_is_sent(
    session: ClientSession, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = door.free
    form = CopyFormat(markers=(b"1", b"\\061", b"\\x31"))
    monkeypatch.setitem(globals(), "SUPPLIED", replace(SUPPLIED, format=form))
    session.data(query("SELECT 1; COPY supplied"))
    assert b"C0A000\0" in door.take()
    session.data(PARSE_SUPPLIED + BIND + EXECUTE + SYNC)
    session.backend_data(PARSED + BOUND + failed("26000"))
    assert b"C0A000\0" in door.take()
    assert EXECUTE not in one.written


def test_a_copy_asks_for_nothing_but_a_key_that_it_supplies(session: ClientSession) -> None:
    assert copy.scanner(session, LISTED) is None
    assert copy.scanner(session, SUPPLIED) is not None


def test_a_client_whose_rows_come_too_late_is_told_the_servers_error(session: ClientSession, door: Door) -> None:
    session.handle(RowsOverdue())  # nobody takes rows
    (one,) = door.free
    session.data(query("COPY supplied"))
    session.backend_data(IN3)
    one.written = b""
    session.handle(RowsOverdue())
    assert one.written == message(102, b"too late\0")
    session.data(data(b"1\n") + message(99, b""))
    session.backend_data(failed("57014", "I"))
    assert kinds(door.take()) == "GEZ"
    session.data(query("SELECT 1"))
    assert one.written.endswith(query("SELECT 1"))


@pytest.mark.parametrize("extended", [False, True])
def test_a_copy_that_sends_more_than_is_allowed_is_ended_and_the_session_goes_on(
    session: ClientSession, door: Door, extended: bool
) -> None:
    limits = Limits(received_bytes_per_minute=2000)
    session.budget = Budgets().of("acme", "alice", limits, None, session.counters, 0.0)
    (one,) = door.free
    session.data(PARSE + BIND + EXECUTE if extended else query("COPY listed"))
    session.backend_data(PARSED + BOUND + IN3 if extended else IN3)
    session.data(data(b"1\t2\t3\n" * 100))
    door.take()
    one.written = b""
    session.data(data(b"1\t2\t3\n" * 400))
    assert kinds(one.written) == "f"
    session.data(data(b"1\t2\t3\n") + DONE)  # sent before the client knew
    session.backend_data(failed("57014")[:-6] if extended else failed("57014", "I"))
    told = door.take()
    assert b"C53400\0Mquota exceeded: received bytes per minute" in told
    assert kinds(told) == ("E" if extended else "EZ")
    if extended:
        session.data(SYNC)
        session.backend_data(complete("", "I")[-6:])
        assert kinds(door.take()) == "Z"
    assert session.lease is None
    assert session.counters.refused == 1
    session.budget = None
    session.data(query("COPY out"))
    session.backend_data(complete("COPY 0"))
    assert kinds(door.take()) == "CZ"


def test_a_copy_is_not_ended_by_what_only_warns(session: ClientSession, door: Door) -> None:
    limits = Limits(received_bytes_per_minute=100, warn=frozenset({"received_bytes_per_minute"}))
    session.budget = Budgets().of("acme", "alice", limits, None, session.counters, 0.0)
    session.counters.bytes_in = 0
    session.data(query("COPY listed"))
    session.backend_data(IN3)
    session.data(data(b"1\t2\t3\n" * 100) + DONE)
    session.backend_data(complete("COPY 100"))
    assert kinds(door.take()).endswith("CZ")
