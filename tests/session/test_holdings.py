"""A session keeps so much and no more: floods are refused or wait, and what was closed makes room again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.session.holdings import PIPELINE, PORTAL, SPARING, STATEMENT, kept, room, size_of, spare
from proxy.session.session import ClientSession
from proxy.wire.fields import message
from proxy.wire.streams import MESSAGE_LIMIT
from tests.kit.builders import POLICY
from tests.session.conftest import Door, Talk, complete, kinds, query

SYNC = message(83, b"")
READY_IDLE = message(90, b"I")


def parse(name: bytes, text: bytes = b"SELECT 1") -> bytes:
    return message(80, name + b"\0" + text + b"\0\0\0")


def limited(session: ClientSession, size: int) -> None:
    session.limits = replace(session.limits, session_memory=size)


def test_a_flood_of_named_statements_is_refused_and_closing_one_makes_room(talk: Talk, session: ClientSession) -> None:
    limited(session, 3 * size_of(b"s1", b"SELECT 1"))
    for number in (b"1", b"2", b"3"):
        assert kinds(talk(parse(b"s" + number, b"SELECT " + number) + SYNC, message(49, b"") + READY_IDLE)) == "1Z"
    told = talk(parse(b"s4", b"SELECT 4") + SYNC, message(69, b"SERROR\0VERROR\0C26000\0Mno\0\0") + READY_IDLE)
    assert b"53400" in told
    assert b"session_memory" in told
    assert kinds(talk(message(67, b"Ss1\0") + SYNC, b"")) == "3Z"
    assert b"53400" not in talk(parse(b"s4", b"SELECT 4") + SYNC, message(49, b"") + READY_IDLE)
    assert set(session.statements) == {b"s2", b"s3", b"s4"}


def test_the_unnamed_statement_is_never_refused_for_what_others_take(talk: Talk, session: ClientSession) -> None:
    limited(session, 1)
    assert kinds(talk(parse(b"") + SYNC, message(49, b"") + READY_IDLE)) == "1Z"


def test_a_flood_of_portals_is_refused_until_the_transaction_has_ended(talk: Talk, session: ClientSession) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    limited(session, 2 * (PORTAL + 20))
    bind = [message(66, b"p%d\0\0\0\0\0\0\0\0" % one) for one in range(3)]
    talk(parse(b"") + bind[0] + bind[1] + SYNC, message(49, b"") + 2 * message(50, b"") + message(90, b"T"))
    assert set(session.portals) == {b"p0", b"p1"}
    told = talk(bind[2] + SYNC, message(69, b"SERROR\0VERROR\0C26000\0Mno\0\0") + message(90, b"E"))
    assert b"53400" in told
    talk(query("ROLLBACK"), complete("ROLLBACK"))
    assert kept(session) == 0


def test_what_is_counted_is_counted_anew_before_anything_is_refused(session: ClientSession) -> None:
    limited(session, 1000)
    for _ in range(1000):  # each was given back: nothing is there
        assert room(session, 900) is None
    assert room(session, 1001) is not None
    assert room(session, 1000) is None


def test_a_pipeline_is_read_only_so_deep_and_goes_on_when_the_server_answers(
    session: ClientSession, door: Door
) -> None:
    (server,) = door.free
    session.data(query("SELECT 1"))
    session.data(SYNC * (PIPELINE + 100))
    assert len(session.due) == PIPELINE
    assert session.stalled
    assert session.buffered == 101 * len(SYNC)
    session.backend_data(complete("SELECT 1"))
    assert len(session.due) == PIPELINE
    session.backend_data(READY_IDLE * PIPELINE)
    assert len(session.due) == 100
    session.backend_data(READY_IDLE * 100)
    assert kinds(door.take()) == "CZ" + "Z" * (PIPELINE + 100)
    assert (session.lease, server.written.count(SYNC)) == (None, PIPELINE + 100)


def test_a_server_that_waits_for_more_is_made_to_send_what_it_has(session: ClientSession, door: Door) -> None:
    (server,) = door.free
    session.data(parse(b"one"))
    session.data(message(67, b"Snone\0") * PIPELINE)  # each answered by the proxy, behind the server's ParseComplete
    assert session.stalled
    assert server.written.endswith(message(72, b""))
    session.backend_data(message(49, b""))
    assert len(session.due) < PIPELINE


def test_a_statement_too_large_to_be_kept_is_refused_and_the_next_is_heard(
    talk: Talk, session: ClientSession, door: Door
) -> None:
    session.frontend.texts = session.limits.statement_size
    size = session.limits.statement_size + 1
    told = talk(query("x" * size) + query("SELECT 1"), complete("SELECT 1"))
    assert kinds(told) == "EZCZ"
    assert b"54000" in told
    assert b"%d bytes" % (size + 1) in told
    told = talk(parse(b"", b"y" * size) + message(66, b"\0\0\0\0\0\0\0\0") + SYNC, b"")
    assert kinds(told) == "EZ"
    assert b"54000" in told
    assert session.buffered == 0


def test_a_bind_too_large_to_be_kept_fails_its_transaction_only(talk: Talk, session: ClientSession) -> None:
    session.frontend.texts = session.limits.statement_size
    session.frontend.limit = 1000
    talk(query("BEGIN"), complete("BEGIN", "T"))
    told = talk(message(66, b"\0" * 2000) + SYNC, message(69, b"SERROR\0VERROR\0C26000\0Mno\0\0") + message(90, b"E"))
    assert kinds(told) == "EZ"
    assert b"54000" in told
    assert session.lease is not None


def test_without_memory_no_large_message_is_taken_until_there_is_some_again(session: ClientSession) -> None:
    for short, limit in ((True, SPARING), (False, MESSAGE_LIMIT)):
        spare(session, short)
        assert session.frontend.limit == limit
    session.end()
    spare(session, True)
    assert session.frontend.limit == MESSAGE_LIMIT


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_what_is_thrown_away_may_come_in_any_pieces(session: ClientSession, door: Door, step: int) -> None:
    session.frontend.texts = 5000
    data = query("x" * 20_000) + query("")
    for start in range(0, len(data), step):
        session.data(data[start : start + step])
        assert session.buffered <= 6
    assert kinds(door.take()) == "EZIZ"


def test_the_plan_of_a_statement_is_counted_too() -> None:
    assert size_of(b"name", b"text") == STATEMENT + 4 + 8
    assert POLICY.statement_size  # of a tenant: the quota that HINT names
