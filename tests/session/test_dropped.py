"""An error takes back what was to come of the messages behind it, up to the next Sync."""

from __future__ import annotations

from proxy.backend.state import BackendState
from proxy.session.dropped import drop_until_sync
from proxy.session.due import BIND, EXECUTE, PARSE, SYNC, Due
from proxy.session.session import ClientSession


def test_what_stands_before_the_next_sync_is_not_due_any_more(session: ClientSession) -> None:
    state = BackendState(7, b"four", {})
    name = state.prepare(key := (b"SELECT 1", (), ""))
    parse = Due(PARSE)
    parse.key = key
    session.due.extend([Due(BIND), Due(EXECUTE), parse, Due(SYNC)])
    drop_until_sync(session, state)
    assert [one.kind for one in session.due] == [SYNC]
    assert not session.skipping
    assert name not in state.prepared.values()


def test_without_a_sync_everything_is_skipped_until_one_comes(session: ClientSession) -> None:
    session.due.append(Due(BIND))
    drop_until_sync(session, BackendState(7, b"four", {}))
    assert session.skipping
