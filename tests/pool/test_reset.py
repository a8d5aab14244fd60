"""Between two leases: what is not exactly the answer to the clean-up destroys the connection."""

from __future__ import annotations

import asyncio

import pytest

from proxy.errors import ConnectionFailure
from proxy.pool.connection import NOBODY, ServerConnection
from proxy.pool.reset import DISCARD, IdleWatch, check, discard, undo
from proxy.wire.backend import (
    CommandComplete,
    DataRow,
    EmptyQueryResponse,
    NotificationResponse,
    ParameterStatus,
    ReadyForQuery,
)
from proxy.wire.frontend import Query
from proxy.wire.report import ErrorResponse, NoticeResponse
from tests.pool.scripted import wired

DONE = CommandComplete("DISCARD ALL").encode()
READY = ReadyForQuery(ord("I")).encode()
ERROR = ErrorResponse.build("FATAL", "57P01", "terminating connection due to administrator command").encode()
NOTICE = NoticeResponse.build("NOTICE", "00000", "by the way").encode()
SUPERUSER = ParameterStatus("is_superuser", "on").encode()
PATH = ParameterStatus("search_path", "public").encode()


async def answered(connection: ServerConnection, answer: bytes, sql: bytes = DISCARD) -> None:
    """Cleans, and the server answers with these bytes in one piece."""
    work = asyncio.ensure_future(discard(connection) if sql == DISCARD else undo(connection, sql))
    await asyncio.sleep(0)
    connection.data_received(answer)
    await work


async def test_discard_all_takes_everything_off_and_leaves_nobody_listening() -> None:
    connection, wire = wired()
    state = connection.state
    state.pins.add("temp")
    state.settings = {"work_mem": "1MB"}
    state.prepare((b"SELECT 1", (), 0))
    await answered(connection, NOTICE + PATH + DONE + READY)
    assert wire.written == Query(b"DISCARD ALL").encode()
    assert (state.pins, dict(state.settings), dict(state.prepared), state.tainted) == (set(), {}, {}, None)
    assert state.parameters["search_path"] == "public"
    assert connection.receiver is NOBODY


@pytest.mark.parametrize("sql", [DISCARD, b"DISCARD SEQUENCES", b""])
async def test_whatever_is_run_ends_the_servers_unnamed_statement_and_the_next_session_knows(sql: bytes) -> None:
    """It would bind to it else, and be told that it does not exist."""
    connection, _ = wired()
    connection.state.unnamed = (b"SELECT 1", (), 0)
    connection.state.drawn = True
    await answered(connection, (DONE if sql else EmptyQueryResponse().encode()) + READY, sql)
    state = connection.state
    assert state.unnamed is None
    assert state.drawn is not bool(sql)  # asking whether it is well undoes nothing


async def test_a_check_is_an_empty_query_with_a_limit_of_time_and_changes_nothing() -> None:
    connection, wire = wired()
    state = connection.state
    state.settings = {"work_mem": "1MB"}
    asked = asyncio.ensure_future(check(connection, 5.0))
    await asyncio.sleep(0)
    assert wire.written == Query(b"").encode()
    connection.data_received(EmptyQueryResponse().encode() + READY)
    await asked
    assert (dict(state.settings), state.tainted) == ({"work_mem": "1MB"}, None)
    with pytest.raises(ConnectionFailure):
        await check(connection, 0.01)


async def test_a_check_that_is_answered_by_a_goodbye_or_by_more_than_was_asked_fails() -> None:
    for answer in (ERROR, EmptyQueryResponse().encode() + READY + b"Z"):
        connection, _ = wired()
        asked = asyncio.ensure_future(check(connection, 5.0))
        await asyncio.sleep(0)
        connection.data_received(answer)
        with pytest.raises(ConnectionFailure):
            await asked


async def test_another_statement_does_not_forget_what_discard_all_would() -> None:
    connection, _ = wired()
    connection.state.pins.add("temp")
    await answered(connection, DONE + READY, b"SELECT 1 WHERE false")
    assert connection.state.pins == {"temp"}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ERROR + READY, id="refused"),
        pytest.param(DataRow((b"secret",)).encode() + DONE + READY, id="a row"),
        pytest.param(DONE + ReadyForQuery(ord("T")).encode(), id="in a transaction"),
        pytest.param(DONE + ReadyForQuery(ord("E")).encode(), id="in a failed transaction"),
        pytest.param(SUPERUSER + DONE + READY, id="a pinned parameter changed"),
        pytest.param(b"\0\0\0\0\0\0", id="no message at all"),
    ],
)
async def test_any_other_answer_fails_and_taints(answer: bytes) -> None:
    connection, _ = wired()
    connection.state.pins.add("temp")
    with pytest.raises(ConnectionFailure):
        await answered(connection, answer)
    assert connection.state.tainted is not None
    assert connection.state.pins == {"temp"}


async def test_what_a_session_that_listened_would_have_heard_is_dropped_and_anybody_elses_fails() -> None:
    told = NotificationResponse(7, "pw_0", "secret").encode()
    connection, _ = wired()
    connection.state.pins.add("listen")
    await answered(connection, told + DONE + READY)
    assert connection.state.tainted is None
    connection, _ = wired()
    with pytest.raises(ConnectionFailure):
        await answered(connection, told + DONE + READY)
    assert connection.state.tainted is not None


@pytest.mark.parametrize("late", [READY, ERROR, DONE, SUPERUSER, NOTICE[:7]])
async def test_what_comes_behind_the_answer_is_not_taken_for_peace(late: bytes) -> None:
    connection, _ = wired()
    with pytest.raises(ConnectionFailure):
        await answered(connection, DONE + READY + late)
    assert connection.state.tainted is not None


async def test_a_connection_lost_or_silent_during_the_clean_up_fails() -> None:
    connection, _ = wired()
    work = asyncio.ensure_future(undo(connection, DISCARD))
    await asyncio.sleep(0)
    connection.connection_lost(None)
    with pytest.raises(ConnectionFailure):
        await work
    silent, _ = wired()
    with pytest.raises(ConnectionFailure, match="in time"):
        await undo(silent, DISCARD, 0.0)
    assert silent.receiver is NOBODY


async def test_a_connection_that_was_not_logged_in_as_its_role_is_not_passed_on() -> None:
    connection, _ = wired(session_authorization="somebody")
    with pytest.raises(ConnectionFailure):
        await answered(connection, DONE + READY)


async def test_an_idle_connection_may_tell_a_parameter_or_a_notice() -> None:
    connection, wire = wired()
    connection.receiver = IdleWatch(connection)
    connection.data_received(NOTICE + ParameterStatus("TimeZone", "UTC").encode())
    assert connection.state.parameters["TimeZone"] == "UTC"
    assert (connection.state.tainted, wire.aborted) == (None, False)


@pytest.mark.parametrize("data", [ERROR, READY, DONE, DataRow((b"1",)).encode(), SUPERUSER, b"\0\0\0\0\0"])
async def test_an_idle_connection_that_says_anything_else_is_cut(data: bytes) -> None:
    connection, wire = wired()
    connection.receiver = IdleWatch(connection)
    connection.data_received(data)
    assert connection.state.tainted is not None
    assert wire.aborted


async def test_half_a_message_is_pending_until_it_is_whole() -> None:
    connection, wire = wired()
    connection.receiver = watch = IdleWatch(connection)
    for piece in (NOTICE[:3], NOTICE[3:9]):
        connection.data_received(piece)
        assert watch.pending > 0
    connection.data_received(NOTICE[9:] + PATH[:1])
    assert watch.pending == 1
    connection.data_received(PATH[1:])
    assert (watch.pending, wire.aborted) == (0, False)
