"""What the server may say: relayed byte for byte where it is the client's business, and never where it is not."""

from __future__ import annotations

import pytest

from proxy.session.conversation import Phase
from proxy.session.events import FrontendLost
from proxy.session.session import ClientSession
from proxy.wire.fields import message
from tests.session.conftest import DISCARDED, Door, Talk, complete, failed, kinds, query
from tests.session.test_extended import SYNC, bind, execute, parse

NOTICE = message(78, b"SNOTICE\0VNOTICE\0C00000\0Mhello\0\0")


def status(name: str, value: str) -> bytes:
    return message(83, name.encode() + b"\0" + value.encode() + b"\0")


def test_rows_of_any_size_are_relayed_as_they_are(session: ClientSession, door: Door) -> None:
    rows = message(84, b"\0\0") + b"".join(message(68, b"\0\1" + bytes([one]) * 100) for one in range(200))
    reply = rows + complete("SELECT 200")
    session.data(query("SELECT 1"))
    for start in range(0, len(reply), 777):
        session.backend_data(reply[start : start + 777])
    assert door.take() == reply


def test_a_changed_parameter_is_told_once_and_a_known_one_not_at_all(talk: Talk) -> None:
    reply = complete("SET")
    assert talk(query("SET timezone = 'CET'"), status("TimeZone", "CET") + reply) == status("TimeZone", "CET") + reply
    assert kinds(talk(query("SELECT 1"), status("TimeZone", "CET") + complete("SELECT 1"))) == "CZ"


@pytest.mark.parametrize("name", ["client_encoding", "standard_conforming_strings"])
def test_a_pinned_parameter_that_changes_ends_the_session(
    talk: Talk, session: ClientSession, door: Door, name: str
) -> None:
    talk(query("SELECT 1"), status(name, "other") + complete("SELECT 1"))
    assert session.phase is Phase.CLOSED
    assert [destroyed for _, destroyed, _ in door.released] == [True]


def test_the_servers_role_is_never_told(talk: Talk) -> None:
    assert b"app" not in talk(query("SELECT 1"), status("session_authorization", "app") + complete("SELECT 1"))


def test_notices_are_the_clients_only_when_its_statement_runs(talk: Talk, door: Door) -> None:
    assert kinds(talk(query("SELECT 1"), NOTICE + complete("SELECT 1"))) == "NCZ"
    talk(query("SET work_mem = '8MB'"), complete("SET"))
    talk(query("SET work_mem = '9MB'"), complete("SET"))
    door.free[0].state.settings = {}
    assert kinds(talk(query("SELECT 1"), NOTICE + complete("SET") + complete("SELECT 1"))) == "CZ"


def test_a_session_level_lock_is_kept_although_its_statement_failed(talk: Talk, door: Door) -> None:
    talk(query("SELECT pg_advisory_lock(1), 1 / 0"), failed("22012", "I"))
    assert not door.released
    talk(query("CREATE TEMP TABLE t ()"), failed("42P07", "I"))
    assert not door.released
    talk(query("DISCARD ALL"), DISCARDED)
    assert len(door.released) == 1


@pytest.mark.parametrize("reply", [complete("SELECT 1"), failed("22012", "I")])
@pytest.mark.parametrize(
    ("text", "reason"), [("SELECT setseed(0.5), 1 / 0", "setseed"), ("DO 'BEGIN END'", "untracked")]
)
def test_what_nothing_takes_back_is_kept_until_the_session_ends_and_its_connection_with_it(
    talk: Talk, session: ClientSession, door: Door, text: str, reason: str, reply: bytes
) -> None:
    talk(query(text), reply)
    talk(query("DISCARD ALL"), DISCARDED)
    assert (session.counters.pinned[reason], door.released) == (1, [])
    assert session.backend().pins == {reason}
    session.handle(FrontendLost())
    assert [destroyed for _, destroyed, _ in door.released] == [True]
    assert session.counters.pinned[reason] == 0


def test_what_is_sent_as_a_select_has_no_columns_for_the_client(talk: Talk) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    reply = message(84, b"\0\0") + complete("SELECT 0", "T")
    assert talk(query("LOCK a"), reply) == complete("LOCK TABLE", "T")
    assert talk(query("SELECT 1"), reply) == reply


def test_the_position_of_an_error_is_one_of_its_own_statement(talk: Talk) -> None:
    text = "SELECT 1; SELECT nothing"
    place = len("SELECT 1;\n") + 8
    reply = message(69, f"SERROR\0VERROR\0C42703\0Mno\0P{place}\0\0".encode()) + b"Z\0\0\0\5I"
    assert b"P8\0" in talk(query(text), message(67, b"SELECT 1\0") + reply)


def test_a_fatal_error_is_told_and_the_connection_never_lent_again(talk: Talk, door: Door) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    fatal = message(69, b"SFATAL\0VFATAL\0C57P01\0Mterminating\0\0")
    assert talk(b"", fatal) == fatal


@pytest.mark.parametrize(
    "reply",
    [
        b"Z\0\0\0\5X", b"Z\0\0\0\6II", b"1\0\0\0\4", b"2\0\0\0\4", b"3\0\0\0\4", b"t\0\0\0\6\0\0", b"s\0\0\0\4",
        b"I\0\0\0\4Z\0\0\0\5I", b"n\0\0\0\4", complete("SELECT 1") + complete("SELECT 1"),
    ],
)  # fmt: skip
def test_a_reply_to_something_else_ends_the_session(
    talk: Talk, session: ClientSession, door: Door, reply: bytes
) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query("SELECT 1"), reply)
    assert session.phase is Phase.CLOSED
    assert [destroyed for _, destroyed, _ in door.released] == [True]


def test_settings_of_a_rolled_back_block_are_those_before_it(talk: Talk, session: ClientSession) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query("SET work_mem = '8MB'"), complete("SET", "T"))
    assert session.settings.current.get("work_mem") is not None
    talk(query("SELECT 1/0"), failed("22012", "E"))
    talk(query("ROLLBACK"), complete("ROLLBACK"))
    assert session.settings.current.get("work_mem") is None


def test_a_refusal_behind_the_end_of_a_failed_transaction_keeps_its_own_words(talk: Talk) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query("SELECT 1 / 0"), failed("22012"))
    ended = b"1\0\0\0\0042\0\0\0\4" + message(67, b"ROLLBACK\0")
    told = talk(
        parse("ROLLBACK") + bind() + execute() + parse("SELECT * FROM forbidden") + SYNC, ended + failed("26000", "I")
    )
    assert b"C42P01\0" in told
