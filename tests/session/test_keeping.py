"""A connection stays for as long as there is a reason, and in session mode for as long as the session."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.errors import InternalError
from proxy.session.events import FrontendLost
from proxy.session.session import ClientSession
from tests.kit.builders import grant
from tests.session.conftest import DISCARDED, Door, Talk, complete, kinds, log_in, query


@pytest.fixture
def owning(fresh: ClientSession, door: Door) -> ClientSession:
    """A session in session mode."""
    log_in(fresh, door, granted=replace(grant(), pool_mode="session"))
    door.take()
    return fresh


def exchange(session: ClientSession, door: Door, sent: bytes, replied: bytes) -> bytes:
    session.data(sent)
    session.backend_data(replied)
    return door.take()


def test_in_session_mode_a_connection_is_kept_from_the_first_statement_to_the_end(
    owning: ClientSession, door: Door
) -> None:
    assert owning.lease is None
    (one,) = door.free
    for text in ("SELECT 1", "BEGIN", "COMMIT", "SELECT 2"):
        status = "T" if text == "BEGIN" else "I"
        assert kinds(exchange(owning, door, query(text), complete(text.split()[0], status))) == "CZ"
        assert door.released == []
    assert owning.counters.pinned == {"session": 1}
    owning.handle(FrontendLost())
    assert (door.released, one.state.undo()) == ([(one, False, False)], b"DISCARD ALL")
    assert owning.counters.pinned == {"session": 0}


def test_discard_all_does_not_give_it_away(owning: ClientSession, door: Door) -> None:
    exchange(owning, door, query("SELECT 1"), complete("SELECT 1"))
    assert exchange(owning, door, query("DISCARD ALL"), DISCARDED) == complete("DISCARD ALL")
    assert door.released == []
    assert owning.backend().undo() == b"DISCARD ALL"


def test_otherwise_nothing_is_kept(talk: Talk, session: ClientSession, door: Door) -> None:
    talk(query("SELECT 1"), complete("SELECT 1"))
    assert len(door.released) == 1
    with pytest.raises(InternalError):
        session.backend()
