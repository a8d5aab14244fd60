"""What went stale at the server is prepared anew behind the client's back: once, and where nothing is lost by it."""

from __future__ import annotations

import pytest

from proxy.session.conversation import Phase
from proxy.session.session import ClientSession
from proxy.session.stale import LONGEST
from proxy.wire.fields import message
from tests.session.conftest import READY, Door, Link, Talk, complete, kinds, query
from tests.session.test_extended import SYNC, bind, describe, execute, parse

PARSED, BOUND, CLOSED = b"1\0\0\0\4", b"2\0\0\0\4", b"3\0\0\0\4"
ROW = message(84, b"\0\0")
DONE = message(67, b"SELECT 1\0")
IDLE = READY + b"I"
STALE = message(69, b"SERROR\0VERROR\0C0A000\0Mcached plan must not change result type\0RRevalidateCachedQuery\0\0")
GONE = message(69, b'SERROR\0VERROR\0C26000\0Mprepared statement "pw_00000001" does not exist\0\0')
BATCH = bind("mine") + describe("P") + execute() + SYNC


@pytest.fixture
def prepared(talk: Talk, session: ClientSession, door: Door) -> Link:
    """A connection on which the session's statement is prepared."""
    (one,) = door.free
    talk(parse("SELECT 1", "mine") + BATCH, PARSED + BOUND + ROW + DONE + IDLE)
    one.written = b""
    return one


@pytest.mark.parametrize("error", [STALE, GONE])
@pytest.mark.parametrize("cut", [False, True])
def test_the_client_is_told_of_the_second_try_only(talk: Talk, prepared: Link, error: bytes, cut: bool) -> None:
    for one in (BATCH[:9], BATCH[9:]) if cut else (BATCH,):  # in one read it goes the short way
        assert talk(one, b"") == b""
    assert talk(b"", error) == b""
    prepared.written = b""
    assert talk(b"", IDLE) == b""
    closing = error == STALE
    assert kinds(prepared.written) == ("C" if closing else "") + "PBDES"
    assert b"pw_00000002" in prepared.written
    assert talk(b"", (CLOSED if closing else b"") + PARSED + BOUND + ROW + DONE + IDLE) == BOUND + ROW + DONE + IDLE
    assert list(prepared.state.prepared.values()) == [b"pw_00000002"]


@pytest.mark.parametrize("cut", [False, True])
def test_the_second_try_is_not_counted_again(talk: Talk, prepared: Link, session: ClientSession, cut: bool) -> None:
    before = sum(session.counters.forwarded.values())
    for one in (BATCH[:9], BATCH[9:]) if cut else (BATCH,):
        talk(one, b"")
    talk(b"", STALE + IDLE)
    assert sum(session.counters.forwarded.values()) == before + 1
    talk(b"", CLOSED + PARSED + BOUND + ROW + DONE + IDLE)
    talk(query("SELECT 2"), complete("SELECT 2"))
    assert sum(session.counters.forwarded.values()) == before + 2


def test_a_description_is_asked_for_again(talk: Talk, prepared: Link) -> None:
    asked = parse("SELECT 1", "other") + describe("S", "other") + SYNC
    assert talk(asked, b"") == PARSED
    assert talk(b"", STALE + IDLE) == b""
    described = message(116, b"\0\0") + ROW
    assert talk(b"", CLOSED + PARSED + described + IDLE) == described + IDLE


def test_a_second_failure_is_told(talk: Talk, prepared: Link) -> None:
    assert talk(BATCH, STALE + IDLE) == b""
    assert kinds(talk(b"", CLOSED + PARSED + STALE + IDLE)) == "EZ"
    assert kinds(talk(BATCH, CLOSED + PARSED + BOUND + ROW + DONE + IDLE)) == "2TCZ"


def test_in_a_transaction_the_error_is_told_and_the_next_use_prepares_anew(talk: Talk, prepared: Link) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    assert kinds(talk(BATCH, STALE + READY + b"E")) == "EZ"
    talk(query("ROLLBACK"), complete("ROLLBACK"))
    prepared.written = b""
    assert talk(BATCH, CLOSED + PARSED + BOUND + ROW + DONE + IDLE) == BOUND + ROW + DONE + IDLE
    assert kinds(prepared.written) == "CPBDES"


@pytest.mark.parametrize("before", [parse("SELECT 2") + bind() + execute(), query("SELECT 2")])
def test_what_ran_before_in_the_batch_or_is_still_due_is_not_run_twice(
    talk: Talk, prepared: Link, before: bytes
) -> None:
    replies = (PARSED + BOUND + DONE) if before[:1] == b"P" else complete("SELECT 2")
    told = talk(before + BATCH, replies + STALE + IDLE)
    assert kinds(told).endswith("EZ")


def test_what_was_sent_behind_it_is_not_sent_again(talk: Talk, prepared: Link) -> None:
    assert kinds(talk(BATCH + query("SELECT 2"), STALE + IDLE + complete("SELECT 2"))) == "EZCZ"


def test_a_long_batch_is_not_kept(talk: Talk, prepared: Link, session: ClientSession) -> None:
    assert kinds(talk(bind("mine", value=b"x" * LONGEST) + execute() + SYNC, STALE + IDLE)) == "EZ"
    assert session.phase is Phase.READY


def test_another_error_is_what_it_is(talk: Talk, prepared: Link) -> None:
    other = message(69, b"SERROR\0VERROR\0C0A000\0Mnot supported\0\0")
    assert kinds(talk(BATCH, other + IDLE)) == "EZ"
    assert kinds(talk(BATCH, BOUND + ROW + DONE + IDLE)) == "2TCZ"
