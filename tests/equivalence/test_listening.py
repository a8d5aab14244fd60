"""LISTEN and NOTIFY over one shared connection: what a session hears, and when, is what it would hear on a connection
of its own to a private database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.equivalence.compare import Seen, observe
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient

Story = tuple[tuple[int, str], ...]
CHANNELS = "SELECT pg_listening_channels()"
# Each step: which of two sessions says what.
STORIES: dict[str, Story] = {
    "own and others'": (
        (0, "LISTEN a"),
        (0, "NOTIFY a, 'own'"),
        (1, "NOTIFY a, 'other'"),
        (0, "SELECT 1"),
        (1, "SELECT pg_notify('a', 'called'), pg_notify('b', 'not heard')"),
        (0, "SELECT 1"),
        (0, "SELECT 2"),
    ),
    "transactions": (
        (0, "BEGIN"),
        (0, "LISTEN a"),
        (1, "NOTIFY a, 'too early'"),
        (0, CHANNELS),
        (0, "NOTIFY a, 'own'"),
        (0, "COMMIT"),
        (0, CHANNELS),
        (0, "BEGIN"),
        (1, "NOTIFY a, 'waits'"),
        (0, "SELECT 1"),
        (0, "NOTIFY a, 'comes after'"),
        (0, "COMMIT"),
        (1, "BEGIN"),
        (1, "NOTIFY a, 'never'"),
        (1, "ROLLBACK"),
        (0, "SELECT 1"),
    ),
    "rolled back": (
        (0, "BEGIN"),
        (0, "LISTEN a"),
        (0, "SAVEPOINT s"),
        (0, "LISTEN b"),
        (0, "ROLLBACK TO s"),
        (0, "LISTEN c"),
        (0, "UNLISTEN a"),
        (0, "COMMIT"),
        (0, CHANNELS),
        (0, "BEGIN"),
        (0, "UNLISTEN *"),
        (1, "NOTIFY c, 'still'"),
        (0, "ROLLBACK"),
        (0, "SELECT 1"),
        (0, "BEGIN"),
        (0, "LISTEN d"),
        (0, "SELECT 1 / 0"),
        (0, "LISTEN e"),
        (0, "COMMIT"),
        (0, CHANNELS),
    ),
    "order and repetition": (
        (0, "LISTEN b"),
        (0, "LISTEN a"),
        (0, "LISTEN b"),
        (0, CHANNELS),
        (1, "BEGIN"),
        (1, "NOTIFY a"),
        (1, "NOTIFY b, 'x'"),
        (1, "NOTIFY a"),
        (1, "NOTIFY a, 'y'"),
        (1, "COMMIT"),
        (0, "SELECT 1"),
        (0, "UNLISTEN b"),
        (0, CHANNELS),
        (1, "NOTIFY b, 'gone'"),
        (0, "UNLISTEN nothing"),
        (0, "UNLISTEN *"),
        (0, CHANNELS),
        (0, "NOTIFY a, 'gone'"),
        (0, "SELECT 1"),
    ),
    "discarded": (
        (0, "LISTEN a"),
        (0, "SET work_mem = '5MB'"),
        (0, "DISCARD ALL"),
        (0, CHANNELS),
        (1, "NOTIFY a, 'gone'"),
        (0, "SELECT 1"),
        (0, "LISTEN a"),
        (0, "CREATE TEMP TABLE tmp_d (a int)"),
        (0, CHANNELS),
        (1, "NOTIFY a, 'heard'"),
        (0, "DROP TABLE tmp_d"),
        (0, "CREATE TEMP TABLE tmp_d (a int)"),
        (0, "DISCARD ALL"),
        (1, "NOTIFY a, 'gone'"),
        (0, CHANNELS),
    ),
    "both listen": (
        (0, "LISTEN a"),
        (1, "LISTEN a"),
        (0, "NOTIFY a, 'from 0'"),
        (1, "SELECT 1"),
        (1, "NOTIFY a, 'from 1'"),
        (0, "SELECT 1"),
        (0, "UNLISTEN a"),
        (1, "NOTIFY a, 'to 1'"),
        (0, "SELECT 1"),
    ),
}


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        yield proxy


def lived(clients: list[RawClient], story: Story, protocol: str) -> list[list[Seen]]:
    seen = []
    for who, text in story:
        ask = clients[who].simple if protocol == "simple" else clients[who].extended
        answer = observe(ask(text), ordered=True)
        # Another session's comes as soon as this one is idle: anywhere before its next ReadyForQuery.
        seen.append([one for one in answer if one[0] != "A"] + [one for one in answer if one[0] == "A"])
    return seen


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_a_sessions_own_notification_comes_behind_its_commit_and_before_it_is_ready(
    proxy: Proxy, protocol: str
) -> None:
    with proxy.connect("acme_app") as client:
        ask = client.simple if protocol == "simple" else client.extended
        ask("LISTEN own")
        for text in ("NOTIFY own", "SELECT pg_notify('own', '')"):
            told = ask(text)
            assert [one.tag for one in told.messages][-3:] == ["C", "A", "Z"]
            assert told.messages[-2].body[:4] == client.key[0].to_bytes(4, "big")


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("name", STORIES)
def test_a_session_hears_what_it_would_hear_on_a_connection_of_its_own(
    shared_server: Cluster, proxy: Proxy, name: str, protocol: str
) -> None:
    story = STORIES[name]
    with ExitStack() as stack:
        direct = [stack.enter_context(RawClient("127.0.0.1", shared_server.port, "app", "private1")) for _ in range(2)]
        clients = [stack.enter_context(proxy.connect("acme_app")) for _ in range(2)]
        foreign = stack.enter_context(proxy.connect("globex_app"))
        foreign.simple("LISTEN a; LISTEN b; LISTEN c")
        expected, seen = lived(direct, story, protocol), lived(clients, story, protocol)
        assert not [one for one in foreign.simple("SELECT 1").messages if one.tag == "A"]
    assert list(zip(story, seen, strict=True)) == list(zip(story, expected, strict=True))


def test_a_hundred_sessions_listen_over_one_server_connection(shared_server: Cluster, proxy: Proxy) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(proxy.connect("acme_app")) for _ in range(100)]
        for one in clients:
            assert one.simple("LISTEN everybody").tags == ["LISTEN"]
        with RawClient("127.0.0.1", shared_server.port, "postgres", "postgres") as server:
            (count,) = server.simple(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shared' AND usename = 'app'"
            ).rows
        assert int(count[0] or 0) <= 10
        assert clients[0].simple("NOTIFY everybody, 'all'").tags == ["NOTIFY"]
        for one in clients[1:]:
            message = one.receive()
            assert message is not None
            assert (message.tag, message.body[4:]) == ("A", b"everybody\0all\0")


def test_who_may_have_missed_something_is_cut_off_and_connects_again(shared_server: Cluster, proxy: Proxy) -> None:
    with proxy.connect("acme_app") as one, proxy.connect("acme_app") as quiet:
        one.simple("LISTEN lost")
        with RawClient("127.0.0.1", shared_server.port, "postgres", "postgres") as server:
            server.simple(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = 'shared' AND usename = 'app' AND query LIKE 'LISTEN%'"
            )
        told = one.collect()
        assert [error["C"] for error in told.errors] == ["57P01"]
        assert told.closed
        assert quiet.simple("SELECT 1").errors == []
    with proxy.connect("acme_app") as again:
        assert again.simple("LISTEN lost").tags == ["LISTEN"]
        heard = again.simple("NOTIFY lost, 'found'")
        assert [one.body[4:] for one in heard.messages if one.tag == "A"] == [b"lost\0found\0"]
