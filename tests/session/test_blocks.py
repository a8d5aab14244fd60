"""What only a transaction block may hold is refused outside of one, whatever is under way."""

from __future__ import annotations

import pytest

from proxy.session.session import ClientSession
from tests.session.conftest import Door, Talk, complete, kinds, query
from tests.session.test_extended import SYNC, bind, execute, parse

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
