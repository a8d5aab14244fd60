"""A simple query runs whole or not at all, and what is answered here keeps its place among the replies."""

from __future__ import annotations

import pytest

from proxy.session.actions import Audit, CloseFrontend
from proxy.session.parameters import ceilings_of
from proxy.session.session import ClientSession
from proxy.tenancy.policy import Limits
from proxy.wire.fields import message
from tests.session.conftest import Door, Talk, complete, failed, kinds, link, query


def test_one_refused_statement_keeps_the_whole_text_from_the_server(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("SELECT 1; SELECT * FROM forbidden; SELECT 2"))
    assert one.written in (b"", query("refused by partywall"))
    (audit,) = door.asked(Audit)
    assert audit.decision.sqlstate == "42P01"
    assert b"forbidden" in audit.text


def test_own_answers_take_no_connection(session: ClientSession, door: Door) -> None:
    for text, told in (
        ("RESET ALL", "CZ"),
        ("SELECT pg_advisory_unlock_all()", "TDCZ"),
        ("", "IZ"),
        ("DEALLOCATE ALL; UNLISTEN *", "CCZ"),
    ):
        session.data(query(text))
        assert kinds(door.take()) == told, text
    assert door.free[0].written == b""
    assert door.released == []


def test_own_answers_stand_between_the_servers_in_order(talk: Talk, door: Door) -> None:
    (one,) = door.free
    reply = message(67, b"SELECT 1\0")
    told = talk(query("UNLISTEN *; SELECT 1; UNLISTEN *; SELECT 2; DEALLOCATE ALL"), reply + reply + b"Z\0\0\0\5I")
    assert one.written == query("SELECT 1;\nSELECT 2")
    assert [part for part in told.split(b"\0") if part.isupper() or part[-1:].isdigit()] != []
    assert kinds(told) == "CCCCCZ"
    assert told.index(b"UNLISTEN") < told.index(b"SELECT 1") < told.rindex(b"UNLISTEN") < told.index(b"DEALLOCATE ALL")


def test_an_error_takes_the_answers_behind_it_away(talk: Talk, door: Door) -> None:
    assert kinds(talk(query("SELECT 1/0; RESET ALL"), failed("22012", "I"))) == "EZ"


def test_a_refusal_inside_a_transaction_fails_the_transaction(talk: Talk, door: Door) -> None:
    (one,) = door.free
    talk(query("BEGIN"), complete("BEGIN", "T"))
    one.written = b""
    told = talk(query("SELECT * FROM forbidden"), failed("42601", "E"))
    assert one.written == query("refused by partywall")
    assert b"C42P01\0" in told
    assert b"refused by partywall" not in told
    assert told.endswith(b"Z\0\0\0\5E")


def test_in_a_failed_transaction_a_refusal_says_what_the_server_would(talk: Talk) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query("SELECT 1/0"), failed("22012", "E"))
    assert b"C25P02\0" in talk(query("SELECT * FROM forbidden"), failed("42601", "E"))


def test_discard_all_needs_to_stand_alone_outside_a_transaction(talk: Talk, session: ClientSession, door: Door) -> None:
    session.data(query("DISCARD ALL; RESET ALL"))
    assert b"C25001\0" in door.take()
    talk(query("BEGIN"), complete("BEGIN", "T"))
    assert b"C25001\0" in talk(query("DISCARD ALL"), failed("42601", "E"))


def test_settings_follow_the_session_to_its_next_connection(talk: Talk, door: Door) -> None:
    talk(query("SET work_mem = '8MB'"), complete("SET"))
    door.free[:] = [other := link()]
    told = talk(query("SELECT 1"), complete("SET") + complete("SELECT 1"))
    assert kinds(told) == "CZ"
    assert b"work_mem" in other.written
    assert b"8MB" in other.written
    assert other.written.endswith(query("SELECT 1"))


def test_settings_that_the_server_refuses_end_the_session_before_anything_runs_under_others(
    talk: Talk, door: Door
) -> None:
    talk(query("SET work_mem = '8MB'"), complete("SET"))
    door.free[:] = [link()]
    told = talk(query("SELECT 1"), failed("22023", "I"))
    assert kinds(told) == "E"
    assert door.asked(CloseFrontend)
    assert door.released[-1][1]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("SET statement_timeout = 5000", b"SET statement_timeout TO 1000"),
        ("SET statement_timeout = 0", b"SET statement_timeout TO 1000"),
        ("SET LOCAL statement_timeout = 0", b"SET LOCAL statement_timeout TO 1000"),
        ("RESET statement_timeout", None),
        ("SET statement_timeout = 10", b"SET statement_timeout = 10"),
    ],
)
def test_no_timeout_is_longer_than_the_tenants(
    session: ClientSession, door: Door, text: str, sent: bytes | None
) -> None:
    (one,) = door.free
    session.settings.limit({}, ceilings_of(Limits(statement_timeout=1.0)))
    session.data(query(text))
    assert one.written == (message(81, sent + b"\0") if sent is not None else one.written)
    assert one.written


def test_a_text_with_a_nul_or_without_an_end_ends_the_session(session: ClientSession, door: Door) -> None:
    session.data(message(81, b"SELECT 1\0; DROP TABLE x\0"))
    assert kinds(door.take()) == "E"
    assert door.free[0].written == b""
    assert door.asked(CloseFrontend)
