"""The real server connection, lease and door fit what a session asks of them, and so do the tests' recorders."""

from __future__ import annotations

import pytest

from proxy.pool.connection import ServerConnection
from proxy.pool.lease import Lease
from proxy.server.listens import ListeningClient
from proxy.session import ports
from tests.server.test_services import missing
from tests.session import conftest


@pytest.mark.parametrize(
    ("protocol", "real", "recorder"),
    [(ports.Port, ListeningClient, conftest.Door), (ports.Link, ServerConnection, conftest.Link)],
)
def test_the_real_thing_and_the_recorder_answer_the_same_calls(protocol: type, real: type, recorder: type) -> None:
    assert missing(real, protocol) == []
    assert missing(recorder, protocol) == []


def test_a_lease_leads_to_its_connection() -> None:
    for one in (Lease, conftest.Lease):
        assert "connection" in {*dir(one), *getattr(one, "__annotations__", {})}
