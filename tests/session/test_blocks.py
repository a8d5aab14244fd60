"""What only a block may hold is refused outside of one, and own answers in a failed one, whatever is under way."""

from __future__ import annotations

import pytest

from proxy.session.conversation import Waiting
from proxy.session.session import ClientSession
from tests.session.conftest import Door, Talk, complete, failed, kinds, query
from tests.session.test_extended import SYNC, bind, error, execute, parse

OUTSIDE = b"C25P01\0MLOCK TABLE can only be used in transaction blocks\0"


def test_alone_it_is_refused_and_in_a_block_it_is_not(talk: Talk, door: Door) -> None:
    assert OUTSIDE in talk(query("LOCK a"), b"")
    talk(query("BEGIN"), complete("BEGIN", "T"))
    assert talk(query("LOCK a"), complete("SELECT 0", "T")).endswith(complete("LOCK TABLE", "T"))
    talk(query("COMMIT"), complete("COMMIT"))
    assert OUTSIDE in talk(query("LOCK a"), b"")


@pytest.mark.parametrize(
    ("before", "refused"),
    [("BEGIN", False), ("SELECT 1", True), ("BEGIN; COMMIT", True), ("BEGIN; ROLLBACK; BEGIN", False)],
)
def test_what_is_under_way_counts(session: ClientSession, door: Door, before: str, refused: bool) -> None:
    session.data(query(before))
    link = session.link
    session.data(query("LOCK a"))
    assert link is not None
    assert (b"LOCK a" in link.written) is not refused  # type: ignore[attr-defined]  # the test's own


def test_several_statements_of_one_query_are_a_block(session: ClientSession) -> None:
    session.data(query("SELECT 1; LOCK a"))
    assert b"LOCK a" in session.link.written  # type: ignore[union-attr]  # as above


def test_a_portal_is_refused_when_it_is_executed(session: ClientSession, door: Door) -> None:
    session.data(parse("LOCK a") + bind() + execute() + SYNC)
    session.backend_data(b"1\0\0\0\4" + b"2\0\0\0\4")
    assert b"refused" in session.link.written  # type: ignore[union-attr]  # as above
    assert kinds(door.take()) == "12"


OWN = ("DEALLOCATE ALL", "UNLISTEN *", "SELECT pg_advisory_unlock_all()")
REFUSED = failed("42601")  # what the server says to a text that is none


@pytest.mark.parametrize("text", OWN)
def test_an_own_answer_waits_until_it_is_known_whether_the_transaction_has_failed(
    talk: Talk, session: ClientSession, text: str
) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    told = talk(query("SELECT 1 / 0") + query(text), failed("22012"))
    assert kinds(told) == "EZ"
    assert session.waiting is Waiting.NOTHING
    assert b"C25P02\0" in talk(b"", REFUSED)


@pytest.mark.parametrize("text", OWN)
def test_in_the_extended_protocol_it_does_as_well(talk: Talk, text: str) -> None:
    talk(parse(text) + query("BEGIN"), complete("BEGIN", "T"))
    talk(parse(text, "own") + SYNC, b"Z\0\0\0\5T")
    told = talk(query("SELECT 1 / 0") + bind("own") + execute() + SYNC, failed("22012"))
    assert kinds(told) == "EZ"
    assert b"C25P02\0" in talk(b"", error("26000") + b"Z\0\0\0\5E")


def test_a_portal_of_an_earlier_pipeline_does_too(talk: Talk) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(parse("UNLISTEN *") + bind(portal="p") + SYNC, b"Z\0\0\0\5T")
    told = talk(query("SELECT 1 / 0") + execute("p") + SYNC, failed("22012"))
    assert kinds(told) == "EZ"
    assert b"C25P02\0" in talk(b"", error("26000") + b"Z\0\0\0\5E")


def test_in_a_transaction_that_goes_on_it_is_answered_in_its_turn(talk: Talk) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    told = talk(query("SELECT 1") + query("UNLISTEN *"), complete("SELECT 1", "T"))
    assert kinds(told) == "CZC"
    assert kinds(talk(b"", b"I\0\0\0\4Z\0\0\0\5T")) == "Z"


def test_behind_the_end_of_a_failed_transaction_in_the_same_text_it_is_answered(talk: Talk) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query("SELECT 1 / 0"), failed("22012"))
    assert kinds(talk(query("ROLLBACK; UNLISTEN *"), complete("ROLLBACK"))) == "CCZ"
