"""What tenants of one database share without a table: each tries to reach another through it, and hears nothing."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import Exchange, RawClient
from tests.kit.sample import pristine

Clients = tuple[RawClient, RawClient, RawClient]


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with pristine(shared_server) as database, running_proxy(shared_server.port, database) as proxy:
        yield proxy


@pytest.fixture
def clients(proxy: Proxy) -> Iterator[Clients]:
    """Two sessions of one tenant, and one of another."""
    with ExitStack() as stack:
        mine, other = (stack.enter_context(proxy.connect("acme_app")) for _ in range(2))
        yield mine, other, stack.enter_context(proxy.connect("globex_app"))


def done(client: RawClient, text: str) -> list[tuple[bytes | None, ...]]:
    exchange = client.simple(text)
    assert exchange.errors == [], (text, exchange.errors)
    return exchange.rows


def heard(exchange: Exchange) -> list[tuple[int, str, str]]:
    """(process id, channel, payload) of every notification."""
    found = []
    for one in exchange.messages:
        if one.tag == "A":
            channel, payload, _ = one.body[4:].split(b"\0")
            found.append((struct.unpack("!i", one.body[:4])[0], channel.decode(), payload.decode()))
    return found


def test_a_notification_is_heard_by_the_own_tenant_alone_and_from_whom_it_came(clients: Clients) -> None:
    mine, other, foreign = clients
    for one in clients:
        done(one, "LISTEN jobs")
    texts = ["NOTIFY jobs, 'a'", "SELECT pg_notify('jobs', 'b')", "SELECT pg_notify('j' || 'obs', 'c') FROM categories"]
    for text in texts:
        done(other, text)
    seen = heard(mine.simple("SELECT 1"))
    assert seen == [(other.key[0], "jobs", payload) for payload in "abc"]
    assert heard(foreign.simple("SELECT 1")) == []
    assert heard(foreign.simple("NOTIFY jobs, 'own'")) == [(foreign.key[0], "jobs", "own")]
    assert heard(mine.simple("SELECT 1")) == []


def test_a_notification_comes_to_who_waits_for_nothing_else(clients: Clients) -> None:
    mine, other, foreign = clients
    done(mine, "LISTEN idle")
    done(foreign, "NOTIFY idle, 'no'")
    done(other, "NOTIFY idle, 'yes'")
    message = mine.receive()
    assert message is not None
    assert (message.tag, message.body[4:]) == ("A", b"idle\0yes\0")


def test_a_transaction_notifies_when_it_commits_and_never_when_it_does_not(clients: Clients) -> None:
    mine, other, _ = clients
    done(mine, "LISTEN jobs")
    for end in ("ROLLBACK", "COMMIT"):
        done(other, "BEGIN")
        done(other, f"NOTIFY jobs, '{end}'")
        done(other, f"NOTIFY jobs, '{end}'")
        assert heard(mine.simple("SELECT 1")) == []
        done(other, end)
    assert [one[2] for one in heard(mine.simple("SELECT 1"))] == ["COMMIT"]


def test_no_name_that_a_tenant_can_say_is_anothers_channel(clients: Clients) -> None:
    mine, _, foreign = clients
    done(mine, 'LISTEN jobs; LISTEN "pw_"; LISTEN "%"')
    (names,) = done(foreign, "SELECT array_agg(c) FROM pg_listening_channels() AS c")
    assert names == (None,)
    for name in ("jobs", "pw_", "%", "*", "", "pw_jobs"):
        foreign.simple(f"SELECT pg_notify('{name}', 'x')")
        foreign.simple(f"SELECT pg_notify('{name}' || '', 'x')")
    assert heard(mine.simple("SELECT 1")) == []
    assert sorted(done(mine, "SELECT pg_listening_channels()")) == [(b"%",), (b"jobs",), (b"pw_",)]


def test_who_takes_over_a_connection_hears_nothing_of_who_had_it(proxy: Proxy) -> None:
    for _ in range(4):
        with proxy.connect("acme_app") as gone:
            done(gone, "LISTEN gone; SELECT pg_advisory_lock(77)")
    with proxy.connect("globex_app") as foreign, proxy.connect("acme_app") as next_one:
        assert done(foreign, "SELECT pg_listening_channels()") == []
        assert heard(next_one.simple("NOTIFY gone, 'x'; SELECT 1")) == []
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:  # the connections are cleaned when they go back, which is soon
            if done(next_one, "SELECT pg_try_advisory_xact_lock(77)") == [(b"t",)]:
                break
        else:
            raise AssertionError("a lock outlived its session")


@pytest.mark.parametrize("keys", ["42", "-1", "4, 2", "0, 42"])
def test_an_advisory_lock_keeps_out_the_own_tenant_alone(clients: Clients, keys: str) -> None:
    mine, other, foreign = clients
    done(mine, f"SELECT pg_advisory_lock({keys})")
    assert done(other, f"SELECT pg_try_advisory_lock({keys}), pg_try_advisory_lock_shared({keys})") == [(b"f", b"f")]
    assert done(foreign, f"SELECT pg_try_advisory_lock({keys})") == [(b"t",)]
    assert done(foreign, f"SELECT pg_advisory_unlock({keys})") == [(b"t",)]
    assert done(other, f"SELECT pg_try_advisory_xact_lock({keys})") == [(b"f",)]
    assert done(mine, f"SELECT pg_advisory_unlock({keys})") == [(b"t",)]
    assert done(other, f"SELECT pg_try_advisory_xact_lock({keys})") == [(b"t",)]
    for one in clients:
        exchange = one.simple(f"SELECT pg_advisory_unlock({keys})")
        assert exchange.rows == [(b"f",)]
        assert [m.body.split(b"\0")[3] for m in exchange.messages if m.tag == "N"] == [
            b"Myou don't own a lock of type ExclusiveLock"
        ]


def test_the_two_key_spaces_are_two(clients: Clients) -> None:
    mine, other, _ = clients
    done(mine, "SELECT pg_advisory_lock(42), pg_advisory_lock(4, 2)")
    assert done(other, "SELECT pg_try_advisory_lock(0, 42), pg_try_advisory_lock(17179869186)") == [(b"t", b"t")]


def test_a_lock_is_held_after_an_error_and_until_all_are_given_up(clients: Clients) -> None:
    mine, other, _ = clients
    assert mine.simple("SELECT pg_advisory_lock(1), 1 / (random() * 0)::int").errors[0]["C"] == "22012"
    assert done(other, "SELECT pg_try_advisory_lock(1)") == [(b"f",)]
    done(mine, "BEGIN; SELECT pg_advisory_lock(2); ROLLBACK")
    assert done(other, "SELECT pg_try_advisory_lock(2)") == [(b"f",)]
    assert mine.simple("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL").errors == []
    assert done(other, "SELECT pg_try_advisory_lock(1), pg_try_advisory_lock(2)") == [(b"t", b"t")]
    done(other, "DISCARD ALL")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:  # the connection is cleaned when it goes back, which is soon
        if done(mine, "SELECT pg_try_advisory_xact_lock(1) AND pg_try_advisory_xact_lock(2)") == [(b"t",)]:
            return
    raise AssertionError("DISCARD ALL left a lock")


@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE"])
def test_lock_table_keeps_no_other_tenant_waiting(clients: Clients, mode: str) -> None:
    mine, other, foreign = clients
    done(mine, "BEGIN")
    assert mine.simple(f"LOCK TABLE orders IN {mode} MODE").tags == ["LOCK TABLE"]
    done(other, "BEGIN")
    (problem,) = other.simple("LOCK TABLE orders IN EXCLUSIVE MODE NOWAIT").errors
    assert (problem["C"], problem["M"]) == ("55P03", 'could not obtain lock on relation "orders"')
    assert set(problem) <= set("SVCMFLR")
    for statement in ("LOCK TABLE orders NOWAIT", "UPDATE orders SET qty = qty", "SELECT FROM orders FOR UPDATE"):
        done(foreign, "SET lock_timeout = '5s'; BEGIN")
        assert foreign.simple(statement).errors == []
        done(foreign, "ROLLBACK")


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("mode", ["ACCESS SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE"])
def test_lock_table_answers_as_a_private_server(
    shared_server: Cluster, clients: Clients, mode: str, protocol: str
) -> None:
    with RawClient("127.0.0.1", shared_server.port, "app", "private1") as private:
        told = []
        for one in (clients[0], private):
            ask = one.simple if protocol == "simple" else one.extended
            outside = ask(f"LOCK TABLE orders IN {mode} MODE")
            one.simple("BEGIN")
            inside = ask(f"LOCK TABLE orders, ONLY customers IN {mode} MODE NOWAIT")
            one.simple("ROLLBACK")
            errors = [(each["C"], each["M"]) for each in outside.errors]
            told.append((errors, [m.tag for m in outside.messages[-2:]], [(m.tag, m.body) for m in inside.messages]))
        assert told[0] == told[1]


def test_a_session_is_known_by_its_own_number_alone(shared_server: Cluster, clients: Clients) -> None:
    own = {str(one.key[0]).encode() for one in clients}
    assert {done(one, "SELECT pg_backend_pid()")[0][0] for one in clients} == own
    assert {one.extended("SELECT pg_backend_pid()").rows[0][0] for one in clients} == own
    with RawClient("127.0.0.1", shared_server.port, "postgres", "postgres") as server:
        real = {row[0] for row in done(server, "SELECT pid FROM pg_stat_activity")}
    assert not own & real
