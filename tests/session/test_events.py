"""Every event that may happen is handled by a session in every phase without an exception, and only once."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from proxy.auth.scram import mock_verifier
from proxy.errors import Refusal
from proxy.session import events
from proxy.session.conversation import Phase
from proxy.session.session import ClientSession
from tests.kit.builders import plan_text
from tests.session.conftest import Door, Lease, link

MAKE: dict[type, Callable[[], events.Event]] = {
    events.StatementPlanned: lambda: events.StatementPlanned(99, plan_text(b"SELECT 1")),
    events.BackendLeased: lambda: events.BackendLeased(99, Lease(link())),
    events.LeaseRefused: lambda: events.LeaseRefused(99, Refusal("no", sqlstate="53300")),
    events.BackendLost: lambda: events.BackendLost("gone"),
    events.FrontendLost: events.FrontendLost,
    events.LoginFound: lambda: events.LoginFound(mock_verifier(b"s", "x"), b"nonce-of-the-tests-000001", None),
    events.ProofWeighed: events.ProofWeighed,
    events.ClientAdmitted: events.ClientAdmitted,
    events.QuotaHeard: lambda: events.QuotaHeard(99),
    events.TlsStarted: events.TlsStarted,
    events.Subscribed: lambda: events.Subscribed(99, "channel", "name"),
    events.Heard: lambda: events.Heard(99),
    events.Notified: lambda: events.Notified("channel", "payload", 1),
    events.CancelRequested: events.CancelRequested,
    events.CancelFinished: events.CancelFinished,
    events.LeaseDelayed: lambda: events.LeaseDelayed(99),
    events.LeaseMoved: lambda: events.LeaseMoved(99),
    events.RowsOverdue: events.RowsOverdue,
    events.ResultOverdue: events.ResultOverdue,
    events.Drain: events.Drain,
    events.Terminate: lambda: events.Terminate(Refusal("end", sqlstate="57P01")),
}


def test_every_event_can_be_made_here() -> None:
    assert set(MAKE) == set(get_args(events.Event))


@pytest.mark.parametrize("kind", MAKE, ids=lambda one: one.__name__)
@pytest.mark.parametrize("ready", [False, True])
def test_an_event_that_nobody_waits_for_harms_nothing(
    door: Door, fresh: ClientSession, request: pytest.FixtureRequest, kind: type, ready: bool
) -> None:
    session = request.getfixturevalue("session") if ready else fresh
    session.handle(MAKE[kind]())
    session.handle(MAKE[kind]())
    leases = [one for one, _, _ in door.released]
    if kind is events.BackendLeased:
        assert len(leases) == 2  # it goes straight back
    else:
        assert leases == []
    ended = {events.Drain, events.Terminate, events.FrontendLost}
    assert (session.phase is Phase.CLOSED) == (kind in ended)
