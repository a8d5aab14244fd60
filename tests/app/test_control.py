"""The control door of a whole proxy: pauses are exact, kills and drains end just those they name, a reload tells."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import psycopg
import pytest

from proxy.fleet.channel import ask
from proxy.fleet.control import Cancel, Drain, Kill, Pause, Ping, Reload, Resume, Statistics
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy, serving
from tests.kit.rawclient import RawClient
from tests.kit.sample import load_sample


@pytest.fixture(scope="module")
def serving_all(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


@pytest.fixture
def proxy(serving_all: Proxy) -> Iterator[Proxy]:
    """One for all tests; nothing of them stays paused."""
    yield serving_all
    serving_all.ask(Resume())


COUNT = "SELECT count(*) FROM orders"


class Load:
    """Clients that ask without end, alone and in transactions, until the block ends. Nobody may be refused."""

    def __init__(self, proxy: Proxy, logins: list[str]) -> None:
        self.done = dict.fromkeys(logins, 0)
        self._over = threading.Event()
        self._proxy = proxy
        self._pool = ThreadPoolExecutor(len(logins) * 3)
        self._running = [self._pool.submit(self._run, login) for login in logins for _ in range(3)]

    def _run(self, login: str) -> None:
        with psycopg.connect(self._proxy.dsn(login), autocommit=True) as client:
            while not self._over.is_set():
                client.execute(COUNT)
                with client.transaction():
                    client.execute(COUNT)
                    client.execute("SELECT 1")
                self.done[login] += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in self._running:
            one.result(60)
        self._pool.shutdown()


def goes_on(load: Load, login: str) -> bool:
    before = load.done[login]
    return bool(eventually(lambda: load.done[login] > before + 5, 20))


def test_after_a_pause_no_statement_of_the_tenant_runs_anywhere_and_none_begins_until_it_is_resumed(
    proxy: Proxy, postgres15: Cluster
) -> None:
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state <> 'idle'"
        " AND application_name LIKE 'acme/%'"
    )
    with Load(proxy, ["acme_app", "globex_app"]) as load, psycopg.connect(postgres15.dsn(), autocommit=True) as watch:
        for _ in range(5):
            assert goes_on(load, "acme_app")
            assert proxy.ask(Pause("acme")).problems == ()
            done = load.done["acme_app"]
            for _ in range(50):
                row = watch.execute(running).fetchone()
                assert row == (0,)
            assert goes_on(load, "globex_app")
            assert load.done["acme_app"] <= done + 3  # an answer that was on its way, to each of its clients
            done = load.done["acme_app"]
            assert goes_on(load, "globex_app")
            assert load.done["acme_app"] == done
            assert proxy.ask(Resume("acme")).problems == ()
        assert goes_on(load, "acme_app")


def test_a_pause_that_is_not_whole_in_time_names_who_keeps_it_and_leaves_nothing_behind(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as busy, proxy.connect("acme_app") as other:
        busy.simple("BEGIN")
        busy.simple(COUNT)
        told = proxy.ask(Pause("acme", timeout=0.2))
        assert told.problems == ("tenant acme could not be paused in 0.2 seconds: 1 connections are in use",)
        (holder,) = told.result["holders"]
        (pid,) = busy.simple("SELECT pg_backend_pid()").rows
        assert holder["process_id"] == int(pid[0] or b"")
        assert (holder["tenant"], holder["login"], holder["state"]) == ("acme", "acme_app", "idle in transaction")
        assert other.simple(COUNT).rows == [(b"21",)]
        assert proxy.ask(Pause("globex")).problems == ()
        busy.simple("COMMIT")
        assert proxy.ask(Pause("acme", "shared")).result == {"paused": "tenant acme in database shared", "for": None}
        assert proxy.ask(Resume()).result == {"resumed": ["tenant globex", "tenant acme in database shared"]}


def test_a_pinned_session_is_named_with_what_pins_it(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as pinned:
        pinned.simple("CREATE TEMPORARY TABLE mine (n int)")
        (holder,) = proxy.ask(Pause("acme", timeout=0.1)).result["holders"]
        assert (holder["state"], holder["pins"]) == ("pinned", ["temp_table"])


def test_a_transaction_may_end_while_its_tenant_is_being_paused_and_no_other_begins(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as busy, proxy.connect("acme_app") as other, ThreadPoolExecutor(2) as pool:
        busy.simple("BEGIN")
        busy.simple(COUNT)
        pausing = pool.submit(proxy.ask, Pause("acme", timeout=60.0))
        assert eventually(lambda: proxy.ask(Statistics("acme")).result["processes"][0]["paused"], 20)
        waiting = pool.submit(other.simple, COUNT)
        assert eventually(lambda: held(proxy) == 1, 20)
        assert busy.simple(COUNT).rows == [(b"21",)]
        assert not pausing.done()
        assert busy.simple("COMMIT").tags == ["COMMIT"]
        assert pausing.result(20).problems == ()
        assert not waiting.done()
        assert proxy.ask(Pause("acme")).problems == ("tenant acme is paused already",)
        proxy.ask(Resume("acme"))
        assert waiting.result(20).rows == [(b"21",)]


def held(proxy: Proxy) -> int:
    (tenant,) = proxy.ask(Statistics("acme")).result["processes"][0]["tenants"]
    return int(tenant["held"])


def test_a_pause_ends_by_itself_when_its_time_is_over_or_the_one_who_asks_leaves_before_it_is_whole(
    proxy: Proxy,
) -> None:
    with proxy.connect("acme_app") as client:
        assert proxy.ask(Pause("acme", hold=0.2)).problems == ()
        assert client.simple(COUNT).rows == [(b"21",)]
        assert proxy.ask(Resume("acme")).problems == ("tenant acme is not paused",)
        client.simple("BEGIN")
        client.simple(COUNT)

        async def leaves() -> None:
            path = str(proxy.directory / "state" / "control.sock")
            asking = asyncio.create_task(ask(path, Pause("acme", timeout=600.0)))
            await asyncio.to_thread(eventually, lambda: paused(proxy), 20)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

        asyncio.run(leaves())
        assert eventually(lambda: not paused(proxy), 20)


def paused(proxy: Proxy) -> list[object]:
    found: list[object] = proxy.ask(Statistics()).result["processes"][0]["paused"]
    return found


def test_rules_that_are_loaded_during_a_pause_do_not_end_it_and_a_reload_tells_what_is_wrong(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client, ThreadPoolExecutor(1) as pool:
        assert proxy.ask(Pause("acme")).problems == ()
        generation = proxy.ask(Reload()).result["generation"]
        waiting = pool.submit(client.simple, COUNT)
        assert eventually(lambda: held(proxy) == 1, 20)
        bad = proxy.directory / "rules" / "bad.yaml"
        bad.write_text("tenant: mallory\nkey: 1\ncolour: red\n")
        told = proxy.ask(Reload())
        assert told.result == {"generation": generation}
        assert any("bad.yaml:3" in one and "colour" in one for one in told.problems), told.problems
        assert held(proxy) == 1
        bad.unlink()
        proxy.ask(Resume())
        assert waiting.result(20).rows == [(b"21",)]


def died(client: RawClient) -> bool:
    said = client.receive()
    return said is not None and b"57P01" in said.body


def test_a_kill_ends_just_the_sessions_that_fit_everything_given(proxy: Proxy) -> None:
    with (
        proxy.connect("acme_app") as first,
        proxy.connect("acme_app") as second,
        proxy.connect("acme_ro") as reader,
        proxy.connect("globex_app") as other,
    ):
        (pid,) = first.simple("SELECT pg_backend_pid()").rows
        number = int(pid[0] or b"")
        assert proxy.ask(Kill()).problems != ()
        assert proxy.ask(Kill("globex", process_id=number)).result == {"killed": []}
        first.simple("BEGIN")
        first.simple(COUNT)  # it holds a lease
        assert [one["process_id"] for one in proxy.ask(Kill(process_id=number)).result["killed"]] == [number]
        assert died(first)
        assert len(proxy.ask(Kill(login="acme_ro")).result["killed"]) == 1
        assert died(reader)
        assert second.simple(COUNT).rows == [(b"21",)]
        assert len(proxy.ask(Kill("acme")).result["killed"]) == 1
        assert died(second)
        assert other.simple("SELECT 1").rows == [(b"1",)]
        assert proxy.ask(Pause("acme", timeout=20.0)).problems == ()  # the lease of who was killed came back


def test_a_killed_statement_ends_at_the_server_too(proxy: Proxy, postgres15: Cluster) -> None:
    sleeps = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'"
    with (
        proxy.connect("acme_app") as client,
        psycopg.connect(postgres15.dsn(), autocommit=True) as watch,
        ThreadPoolExecutor(1) as pool,
    ):
        running = pool.submit(client.simple, "SELECT pg_sleep(600)")
        assert eventually(lambda: watch.execute(sleeps).fetchone() == (1,), 20)
        assert len(proxy.ask(Kill("acme")).result["killed"]) == 1
        assert [one["C"] for one in running.result(20).errors] == ["57P01"]
        assert eventually(lambda: watch.execute(sleeps).fetchone() == (0,), 20)


def test_a_tenants_drain_ends_idle_sessions_lets_transactions_finish_and_lets_nobody_in(proxy: Proxy) -> None:
    with (
        proxy.connect("acme_app") as busy,
        proxy.connect("acme_app") as idle,
        proxy.connect("globex_app") as other,
        ThreadPoolExecutor(1) as pool,
    ):
        busy.simple("BEGIN")
        busy.simple(COUNT)
        draining = pool.submit(proxy.ask, Drain("acme", 60.0))
        assert died(idle)
        with proxy.connect("acme_app") as late:
            assert [one["C"] for one in late.greeting.errors] == ["57P03"]
        assert busy.simple(COUNT).rows == [(b"21",)]
        assert busy.simple("COMMIT").tags == ["COMMIT"]
        assert draining.result(20).result == {"drained": "acme"}
        assert other.simple("SELECT 1").rows == [(b"1",)]
        assert proxy.ask(Drain("acme")).problems == ("tenant acme is drained already",)
        assert proxy.ask(Resume("acme")).problems == ()
        with proxy.connect("acme_app") as again:
            assert again.simple(COUNT).rows == [(b"21",)]
            again.simple("BEGIN")
            told = proxy.ask(Drain("acme", 0.1))
            assert len(told.result["sessions"]) == 1
            assert "1 sessions are left" in told.problems[0]
        with proxy.connect("acme_app") as after:
            assert after.greeting.errors == []


def test_a_drain_of_the_process_answers_when_it_is_over_and_its_successor_may_have_the_door_meanwhile(
    postgres15: Cluster,
) -> None:
    with (
        running_proxy(load_sample(postgres15).port) as proxy,
        proxy.connect("acme_app") as busy,
        ThreadPoolExecutor(1) as pool,
    ):
        busy.simple("BEGIN")
        draining = pool.submit(proxy.ask, Drain())
        proxy.wait_refusing()
        assert proxy.ask(Ping()).result == {"state": "draining"}  # the door answers still
        with serving(proxy.directory, proxy.database, proxy.passwords) as successor:
            assert successor.ask(Ping()).result == {"state": "serving"}
            busy.simple("COMMIT")
            assert draining.result(20).result == {"whole": True}
            assert proxy.process.wait(20) == 0
            assert successor.ask(Ping()).result == {"state": "serving"}  # it kept what is not its predecessor's
        assert not list((proxy.directory / "state").glob("control*"))


@pytest.mark.parametrize("request_of", [Statistics, Pause, Drain])
def test_who_is_not_in_the_rules_is_no_tenant(proxy: Proxy, request_of: Callable[[str], Pause]) -> None:
    assert proxy.ask(request_of("nobody")).problems == ("there is no tenant nobody",)
    assert proxy.ask(Pause(database="nothing")).problems == ("there is no database nothing",)


def test_a_cancel_with_the_wrong_key_is_answered_like_one_with_the_right_key(proxy: Proxy) -> None:
    assert proxy.ask(Cancel(1, "00" * 32)) == proxy.ask(Cancel(2, ""))
    assert proxy.ask(Cancel(1, "no hex")).problems == ("internal error; the log says more",)


def test_two_processes_do_not_share_a_state_directory_while_both_serve(proxy: Proxy, postgres15: Cluster) -> None:
    done = proxy.command("serve", "--rules", str(proxy.directory / "rules"), "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert "control.sock" in done.stderr
    assert "Traceback" not in done.stderr
    assert proxy.ask(Ping()).result == {"state": "serving"}


def test_what_a_killed_process_left_at_the_door_is_taken_over(postgres15: Cluster) -> None:
    with running_proxy(load_sample(postgres15).port) as proxy:
        os.kill(proxy.process.pid, signal.SIGKILL)
        proxy.process.wait(20)
        assert (proxy.directory / "state" / "control.sock").is_socket()
        with serving(proxy.directory, proxy.database, proxy.passwords) as successor:
            assert successor.ask(Ping()).result == {"state": "serving"}
