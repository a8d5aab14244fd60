"""libpq 18, which psycopg brings along: what it negotiates before it may log in, and its cancel keys."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from tests.kit.proxy import Proxy


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ({}, 30000),
        ({"max_protocol_version": "3.0"}, 30000),
        ({"min_protocol_version": "3.2", "max_protocol_version": "3.2"}, 30002),
        ({"min_protocol_version": "3.0", "max_protocol_version": "latest"}, 30002),
    ],
)
def test_every_version_that_is_asked_for_is_spoken_and_can_be_cancelled(
    proxy: Proxy, asked: dict[str, Any], spoken: int
) -> None:
    with psycopg.connect(proxy.dsn("acme_app"), autocommit=True, **asked) as connection:
        assert connection.pgconn.full_protocol_version == spoken
        timer = threading.Timer(0.1, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            while True:  # a request that comes between two statements is for nothing
                connection.execute("SELECT pg_sleep(0.2)")
                if not timer.is_alive():
                    timer = threading.Timer(0.05, connection.cancel_safe)
                    timer.start()
        timer.join()
        assert connection.execute("SELECT pg_backend_pid()").fetchone() == (connection.info.backend_pid,)
