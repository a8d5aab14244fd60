"""What a server says unasked: notices, notifications and parameters come to the client where they would come to one of
a private database, in the middle of whatever it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.equivalence.compare import Seen, observe
from tests.equivalence.lockstep import message
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import Exchange, RawClient

Pair = tuple[RawClient, RawClient]


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as running:
        yield running


@pytest.fixture
def clients(shared_server: Cluster, proxy: Proxy) -> Iterator[list[Pair]]:
    """Two clients of a private database and two of the proxy: (private, proxied), twice."""
    with ExitStack() as stack:
        yield [
            (
                stack.enter_context(RawClient("127.0.0.1", shared_server.port, "app", "private1")),
                stack.enter_context(proxy.connect("acme_app")),
            )
            for _ in range(2)
        ]


def extended(text: str) -> bytes:
    """Parse, Bind, Describe, Execute."""
    parse = message(b"P", b"\0" + text.encode() + b"\0\0\0")
    return parse + message(b"B", bytes(8)) + message(b"D", b"P\0") + message(b"E", bytes(5))


def piped(client: RawClient, *texts: str) -> Exchange:
    """All of them in one pipeline."""
    client.socket.sendall(b"".join(map(extended, texts)) + message(b"S", b""))
    return client.collect()


def when_told(client: RawClient, exchange: Exchange) -> Exchange:
    """The first from this one on that tells of a parameter: a server reads its settings in its own time."""
    while "S" not in [each.tag for each in exchange.messages]:
        exchange = piped(client, "SELECT 1")
    return exchange


def told(exchange: Exchange) -> list[Seen]:
    return observe(exchange, ordered=True)


def test_notices_come_between_the_replies_of_a_pipeline(clients: list[Pair]) -> None:
    texts = ("CREATE TEMP TABLE t (a int)", "DROP TABLE IF EXISTS u, t, v", "COMMIT", "SELECT 1 / 0", "SELECT 2")
    private, proxied = (told(piped(one, *texts)) for one in clients[0])
    assert proxied == private
    assert [one[0] for one in private].count("N") == 3


def test_a_notification_comes_at_the_end_of_what_is_under_way_and_inside_a_block_when_it_ends(
    clients: list[Pair],
) -> None:
    answers = []
    for listener, other in zip(*clients, strict=True):
        seen = [told(listener.simple("LISTEN news"))]
        seen.append(told(piped(listener, "NOTIFY news, 'own'", "SELECT 1")))
        seen.append(told(listener.simple("BEGIN")))
        other.simple("NOTIFY news, 'inside'")
        seen.append(told(listener.simple("SELECT 2")))
        seen.append(told(listener.simple("ROLLBACK")))
        other.simple("NOTIFY news, 'idle'")
        seen.append(told(listener.collect("A")))
        answers.append(seen)
    assert answers[0] == answers[1]


def test_a_parameter_that_the_operator_changes_is_told_once_before_its_values_are_seen(
    shared_server: Cluster, clients: list[Pair]
) -> None:
    shared_server.psql(sql="ALTER SYSTEM SET intervalstyle = 'iso_8601'")
    try:
        shared_server.psql(sql="SELECT pg_reload_conf()")
        answers = []
        for one in clients[0]:
            exchange = when_told(one, one.simple("BEGIN"))
            # A server tells it last. The proxy may know it from the connection before, and tells it with BEGIN then.
            parameters = [each for each in told(exchange) if each[0] == "S"]
            answers.append((parameters, told(one.simple("SELECT interval '1 day'; COMMIT"))))
        assert answers[0][0] == [("S", b"IntervalStyle", b"iso_8601")]
        assert answers[0] == answers[1]
    finally:
        shared_server.psql(sql="ALTER SYSTEM RESET intervalstyle")
        shared_server.psql(sql="SELECT pg_reload_conf()")
        for one in clients[0]:  # or a client of the next test is told in the middle of it
            when_told(one, one.simple("SELECT 1"))
