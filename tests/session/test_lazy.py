"""BEGIN is one write with what came in the same read; under lazy_begin it waits for what comes behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.errors import TooManyConnections
from proxy.session.actions import Audit, LeaseBackend
from proxy.session.events import BackendLeased, CancelRequested, LeaseRefused
from proxy.session.session import ClientSession
from proxy.sql.plan import Effects, Planned, Reject, StatementKind, TransactionVerb
from proxy.wire.fields import message
from tests.kit.builders import forward, grant
from tests.session.conftest import READY, Door, Lease, complete, kinds, log_in, query
from tests.session.test_extended import BOUND, DONE, IDLE, PARSED, SYNC, bind, close, execute, parse

BEGUN = complete("BEGIN", "T")


@pytest.fixture
def lazy(fresh: ClientSession, door: Door) -> ClientSession:
    """A session of a database with lazy_begin."""
    log_in(fresh, door, granted=replace(grant(), lazy_begin=True))
    door.take()
    return fresh


def test_a_begin_travels_in_one_write_with_what_was_read_together(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    writes: list[bytes] = []
    one.write = writes.append  # type: ignore[method-assign,assignment]  # the writes are counted, and not only their bytes
    session.data(query("BEGIN") + query("SELECT 1"))
    assert writes == [query("BEGIN") + query("SELECT 1")]


def test_a_begin_that_comes_alone_is_sent_at_once(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("BEGIN"))
    assert one.written == query("BEGIN")


@pytest.mark.parametrize("text", ["BEGIN", "START TRANSACTION READ ONLY"])
def test_a_lazy_begin_holds_no_connection_until_something_follows(lazy: ClientSession, door: Door, text: str) -> None:
    (one,) = door.free
    writes: list[bytes] = []
    one.write = writes.append  # type: ignore[method-assign,assignment]  # as above
    lazy.data(query(text))
    assert door.take() == complete("START TRANSACTION" if text[0] == "S" else "BEGIN", "T")
    assert (lazy.lease, writes) == (None, [])
    lazy.data(query("SELECT 1"))
    assert writes == [query(text) + query("SELECT 1")]
    lazy.backend_data(BEGUN + complete("SELECT 1", "T"))
    assert door.take() == complete("SELECT 1", "T")
    assert lazy.in_transaction


def test_it_goes_ahead_of_a_batch_too(lazy: ClientSession, door: Door) -> None:
    (one,) = door.free
    lazy.data(query("BEGIN"))
    door.take()
    lazy.data(parse("SELECT 1") + bind() + execute() + SYNC)
    assert kinds(one.written) == "QPBES"
    lazy.backend_data(BEGUN + PARSED + BOUND + DONE + READY + b"T")
    assert kinds(door.take()) == "12CZ"


def test_a_refusal_fails_the_block_as_ever(lazy: ClientSession, door: Door) -> None:
    (one,) = door.free
    lazy.data(query("BEGIN"))
    door.take()
    lazy.data(query("SELECT * FROM forbidden"))
    assert one.written == query("BEGIN") + query("refused by partywall")


@pytest.mark.parametrize("allowed", [True, False])
def test_a_begin_that_was_answered_under_other_rules_is_planned_anew(
    lazy: ClientSession, door: Door, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    (one,) = door.free
    lazy.data(query("BEGIN READ WRITE"))
    door.take()
    epoch = object()
    monkeypatch.setattr(door, "follow", lambda: setattr(lazy, "epoch", epoch))
    begin = forward(b"BEGIN READ ONLY", Effects(transaction=TransactionVerb.BEGIN), StatementKind.TRANSACTION)
    refused = Reject(StatementKind.TRANSACTION, "25006", "reads only")
    door.planned[b"BEGIN READ WRITE"] = Planned((begin if allowed else refused,))
    lazy.data(query("SELECT 1"))
    audited = [(one.message, one.text) for one in door.asked(Audit)]
    if allowed:
        assert (one.written, audited) == (query("BEGIN READ ONLY") + query("SELECT 1"), [])
    else:
        assert b"25006" in door.take()
        assert (one.written, lazy.in_transaction, lazy.begun) == (b"", False, None)
        assert audited == [("reads only", b"BEGIN READ WRITE")]


def test_discard_all_is_refused_in_such_a_block(lazy: ClientSession, door: Door) -> None:
    lazy.data(query("BEGIN"))
    door.take()
    lazy.data(query("DISCARD ALL"))
    lazy.backend_data(BEGUN)
    assert lazy.due[0].refusal is not None
    assert lazy.due[0].refusal.sqlstate == "25001"


def test_without_a_connection_the_statement_is_refused_and_the_block_is_gone(lazy: ClientSession, door: Door) -> None:
    door.free.clear()
    lazy.data(query("BEGIN"))
    door.take()
    lazy.data(query("SELECT 1"))
    (asked,) = door.asked(LeaseBackend)
    lazy.handle(LeaseRefused(asked.ticket, TooManyConnections("none became free")))
    assert door.take().endswith(IDLE)
    assert lazy.begun is None


@pytest.mark.parametrize("asked", ["S", "HS", "CS", "PS", "BES"])
def test_whatever_is_asked_is_answered_by_why_there_is_no_block(lazy: ClientSession, door: Door, asked: str) -> None:
    """A Sync or Close alone would say that all is well, and what comes next would be a transaction of its own."""
    made = {"S": SYNC, "H": message(72, b""), "C": close("S", "one")}
    made |= {"P": parse("SELECT 1"), "B": bind(), "E": execute()}
    door.free.clear()
    lazy.data(query("BEGIN"))
    door.take()
    lazy.data(b"".join(made[one] for one in asked))
    (lease,) = door.asked(LeaseBackend)
    lazy.handle(LeaseRefused(lease.ticket, TooManyConnections("none became free")))
    said = door.take()
    assert (kinds(said), said.endswith(IDLE)) == ("EZ", True)
    assert b"C53300\0" in said
    assert (lazy.begun, lazy.refusal, lazy.skipping) == (None, None, False)


def test_a_function_call_that_finds_no_connection_is_answered_and_the_session_goes_on(
    lazy: ClientSession, door: Door
) -> None:
    """No Sync follows one: who waited for it would wait for ever."""
    door.free.clear()
    lazy.data(query("BEGIN"))
    door.take()
    lazy.data(message(70, bytes(12)))
    (lease,) = door.asked(LeaseBackend)
    lazy.handle(LeaseRefused(lease.ticket, TooManyConnections("none became free")))
    said = door.take()
    assert (kinds(said), said.endswith(IDLE)) == ("EZ", True)
    assert (lazy.begun, lazy.refusal, lazy.skipping) == (None, None, False)


@pytest.mark.parametrize("tag", b"dcf")
def test_what_belongs_to_a_copy_that_is_none_needs_no_block(lazy: ClientSession, door: Door, tag: int) -> None:
    door.free.clear()
    lazy.data(query("BEGIN"))
    door.take()
    lazy.data(message(tag, b"\0"))
    assert (door.asked(LeaseBackend), door.take()) == ([], b"")
    assert lazy.begun is not None


def test_who_is_canceled_while_it_waits_for_a_connection_is_in_no_block(lazy: ClientSession, door: Door) -> None:
    """It was told that it is idle: a BEGIN ahead of what it says next would never be committed."""
    (one,) = door.free
    door.free.clear()
    lazy.data(query("BEGIN") + query("SELECT 1"))
    door.take()
    lazy.handle(CancelRequested())
    assert door.take().endswith(IDLE)
    door.free.append(one)
    lazy.data(query("INSERT INTO items DEFAULT VALUES"))
    assert one.written == query("INSERT INTO items DEFAULT VALUES")


def test_that_a_begin_is_refused_is_told_once(lazy: ClientSession, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = door.free
    lazy.data(query("BEGIN READ WRITE"))
    epoch = object()
    monkeypatch.setattr(door, "follow", lambda: setattr(lazy, "epoch", epoch))
    refused = Planned((Reject(StatementKind.TRANSACTION, "25006", "reads only"),))
    door.planned |= {b"BEGIN READ WRITE": refused, b"INSERT INTO items DEFAULT VALUES": refused}
    lazy.data(query("INSERT INTO items DEFAULT VALUES"))
    assert door.take().endswith(IDLE)
    lazy.data(parse("SELECT 1", "one") + SYNC)
    assert (kinds(one.written), door.take()) == ("PS", b"")


def test_nor_is_who_has_one_and_waits_for_another_plan_of_the_begin(
    lazy: ClientSession, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = door.free
    door.free.clear()
    lazy.data(query("BEGIN") + query("SELECT 1"))
    epoch, door.cached = object(), False
    monkeypatch.setattr(door, "follow", lambda: setattr(lazy, "epoch", epoch))
    (asked,) = door.asked(LeaseBackend)
    lazy.handle(BackendLeased(asked.ticket, Lease(one)))
    assert (lazy.queues, lazy.lease is not None) == (True, True)
    lazy.handle(CancelRequested())
    assert lazy.begun is None


def test_a_statement_that_is_too_large_leaves_no_block_behind(lazy: ClientSession, door: Door) -> None:
    (one,) = door.free
    lazy.frontend.texts = 100
    lazy.data(query("BEGIN") + query("SELECT " + "1" * 200))
    assert door.take().endswith(IDLE)
    lazy.data(query("SELECT 1"))
    assert one.written == query("SELECT 1")


def test_a_client_that_leaves_begins_nothing(lazy: ClientSession, door: Door) -> None:
    (one,) = door.free
    lazy.data(query("BEGIN"))
    lazy.data(b"X\0\0\0\4")
    assert (one.written, door.released) == (b"", [])


def test_in_a_block_a_begin_is_the_servers(lazy: ClientSession, door: Door) -> None:
    (one,) = door.free
    lazy.data(query("BEGIN"))
    lazy.data(query("BEGIN"))
    assert one.written == query("BEGIN") + query("BEGIN")
