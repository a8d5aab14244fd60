"""random() after setseed(): nobody else's is steered or foreseen, and it tells nothing of others' rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient

SEEDING = [
    "SELECT setseed(0.42)",
    "SELECT setseed(0.42), 1 / (random() * 0)::int",
    "SELECT * FROM pg_catalog.setseed(0.42)",
    "SELECT id FROM orders WHERE setseed(0.42) IS NOT NULL LIMIT 1",
    "COPY (SELECT setseed(0.42)) TO STDOUT",
    "SELECT pg_advisory_lock(9), setseed(0.42)",
    "PREPARE p (float8) AS SELECT setseed($1); EXECUTE p (0.42)",
    "BEGIN; DECLARE c CURSOR FOR SELECT setseed(0.42); FETCH c; COMMIT",
    "BEGIN; SELECT setseed(0.42); ROLLBACK",
    "BEGIN; INSERT INTO notes (id, body) VALUES (99999, setseed(0.42)::text); ROLLBACK",
    "SELECT setseed(0.42); DISCARD ALL",
]


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    """One server connection for all, so that each session gets that of the one before unless it is gone."""
    with running_proxy(shared_server.port, MAX_SERVER_CONNECTIONS="1") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def sequence(shared_server: Cluster) -> list[tuple[bytes | None, ...]]:
    """What random() gives after SEEDING."""
    with RawClient("127.0.0.1", shared_server.port, "app", "private1") as private:
        private.simple("SELECT setseed(0.42)")
        return private.simple("SELECT random() FROM generate_series(1, 200)").rows


def drawn(server: Cluster, client: RawClient) -> tuple[tuple[bytes | None, ...], str]:
    """What the client's random() gives, and the process number of the server connection that it ran on."""
    mark = f"drawn_{uuid.uuid4().hex}"
    (row,) = client.simple(f"SELECT random() AS {mark}").rows
    sql = f"SELECT pid FROM pg_stat_activity WHERE datname = 'shared' AND query ~ '{mark}'"
    return row, server.psql("postgres", sql).strip()


def is_gone(server: Cluster, number: str) -> bool:
    return server.psql("postgres", f"SELECT count(*) FROM pg_stat_activity WHERE pid = {number}").strip() == "0"


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("text", SEEDING)
def test_no_other_session_draws_from_a_seed_that_somebody_knows(
    shared_server: Cluster, proxy: Proxy, sequence: list[tuple[bytes | None, ...]], text: str, protocol: str
) -> None:
    with proxy.connect("acme_app") as first:
        for one in text.split("; ") if protocol == "extended" else [text]:
            (first.extended if protocol == "extended" else first.simple)(one)
        found, number = drawn(shared_server, first)
        assert found in sequence[:2]  # it is the session's own
    for login in ("globex_app", "acme_app"):
        with proxy.connect(login) as other:
            (found,) = other.simple("SELECT random()").rows
            assert found not in sequence
    assert eventually(lambda: is_gone(shared_server, number), 20.0)


def test_without_a_seed_the_connection_is_the_next_sessions(shared_server: Cluster, proxy: Proxy) -> None:
    found = []
    for _ in range(2):
        with proxy.connect("acme_app") as client:
            found.append(drawn(shared_server, client)[1])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) FROM orders WHERE random() < 2",
        "SELECT count(*) FROM orders WHERE random() < 2 AND qty > 1",
        "SELECT count(*) FROM orders o JOIN notes n ON random() < 2",
        "SELECT count(random()) FROM orders",
        "SELECT id FROM orders ORDER BY random() LIMIT 1",
        "SELECT count(*) FROM orders WHERE CASE WHEN random() < 2 THEN qty END > 0",
    ],
)
def test_how_often_random_was_called_does_not_count_the_rows_of_others(
    shared_server: Cluster, proxy: Proxy, text: str
) -> None:
    with (
        proxy.connect("acme_app") as client,
        RawClient("127.0.0.1", shared_server.port, "app", "private1") as private,
    ):
        for one in ("SELECT setseed(0.42)", text, "SELECT random()"):
            seen, expected = client.simple(one), private.simple(one)
            assert (seen.errors, seen.rows) == (expected.errors, expected.rows)
