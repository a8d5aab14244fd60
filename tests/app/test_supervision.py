"""Several workers in front of a real server: one port, one set of figures, one life, and no orphan."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from proxy.fleet.control import Drain, Kill, Pause, Reload, Resume, Statistics
from proxy.server.listens import UNKNOWN_PROCESS
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy
from tests.kit.rawclient import RawClient
from tests.kit.rules import sample_rules
from tests.kit.sample import load_sample
from tests.kit.workers import pid_of, ready, running_workers, spread, wait_ready

COUNT = "SELECT count(*) FROM orders"


# initech's login is that of the tests that hit a limit or fail to log in: nobody else uses it here.
FEW = "tenant: initech\nquotas: {connections: 5}\n"


@pytest.fixture(scope="module")
def serving_all(postgres15: Cluster) -> Iterator[Proxy]:
    rules = sample_rules(load_sample(postgres15).port, "shared").replace("tenant: initech\n", FEW)
    with running_workers(postgres15, 4, rules=rules) as proxy:
        yield proxy


@pytest.fixture
def proxy(serving_all: Proxy) -> Iterator[Proxy]:
    """One for most tests; nothing of them stays paused, and all workers serve."""
    wait_ready(serving_all)
    yield serving_all
    serving_all.ask(Resume())
    wait_ready(serving_all)


def metric(proxy: Proxy, pattern: str) -> float:
    return sum(float(value) for value in re.findall(rf"^{pattern} (\S+)$", proxy.metrics(), re.MULTILINE))


def statements(proxy: Proxy) -> float:
    return metric(proxy, r"partywall_statements_total\{[^}]*\}")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(client: RawClient) -> bool:
    """Is there nobody any more at the other end?"""
    try:
        return client.receive() is None
    except ConnectionError:
        return True


def died(client: RawClient) -> bool:
    said = client.receive()
    return said is not None and b"57P01" in said.body


def test_clients_are_spread_over_the_workers_and_counted_together(proxy: Proxy) -> None:
    before = statements(proxy)
    with spread(proxy, 4) as clients:
        assert len({pid_of(one) for one in clients.values()}) == 4
        for one in clients.values():
            assert one.simple(COUNT).rows == [(b"21",)]
        assert metric(proxy, r'partywall_client_connections\{tenant="acme"\}') == 4
        assert statements(proxy) >= before + 8
        assert metric(proxy, r"partywall_info\{[^}]*\}") == 1
        assert metric(proxy, "partywall_workers") == 4
        assert 0 < metric(proxy, "partywall_server_connections_limit") <= 100
        assert len(re.findall(r"^partywall_info\{", proxy.metrics(), re.MULTILINE)) == 1


def test_a_cancel_request_reaches_its_session_whichever_worker_hears_it(proxy: Proxy, postgres15: Cluster) -> None:
    sleeps = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'"
    with psycopg.connect(postgres15.dsn(), autocommit=True) as watch, ThreadPoolExecutor(1) as pool:
        for _ in range(12):  # each time another worker may hear it
            with psycopg.connect(proxy.dsn("acme_app"), autocommit=True) as client:
                client.execute("SELECT 1")
                running = pool.submit(client.execute, "SELECT pg_sleep(600)")
                assert eventually(lambda: watch.execute(sleeps).fetchone() == (1,), 30)
                client.cancel_safe()
                with pytest.raises(psycopg.errors.QueryCanceled):
                    running.result(30)
                assert client.execute(COUNT).fetchone() == (21,)


def cancelled(proxy: Proxy, process_id: int, key: bytes) -> bytes:
    """What a client that sends this CancelRequest is answered."""
    with socket.create_connection(("127.0.0.1", proxy.port), 30) as raw:
        body = (80877102).to_bytes(4, "big") + process_id.to_bytes(4, "big") + key
        raw.sendall((len(body) + 4).to_bytes(4, "big") + body)
        return raw.recv(100)


def test_no_answer_tells_whether_a_cancel_request_fitted_or_whose_it_was(proxy: Proxy) -> None:
    with spread(proxy, 2) as clients:
        places = [pid_of(one) for one in clients.values()]
        for process_id in (*places, 0, 2**31 - 1, 3 << 20 | 5, 9 << 20 | 5, 1 << 25 | 5):
            assert cancelled(proxy, process_id, b"none") == b""
        for one in clients.values():
            assert one.simple(COUNT).rows == [(b"21",)]


class Load:
    """Clients that ask without end until the block ends; what broke, by client."""

    def __init__(self, proxy: Proxy, count: int) -> None:
        self.broken: list[str] = []
        self.done = 0
        self._over = threading.Event()
        self._proxy = proxy
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        for one in self._threads:
            one.start()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                with psycopg.connect(self._proxy.dsn("acme_app"), autocommit=True) as client:
                    while not self._over.is_set():
                        row = client.execute(COUNT).fetchone()
                        assert row == (21,)
                        self.done += 1
            except psycopg.OperationalError as error:
                self.broken.append(str(error))

    def end(self) -> None:
        self._over.set()
        for one in self._threads:
            one.join(60)


def test_a_worker_that_is_killed_takes_its_own_clients_with_it_and_nobody_elses_and_no_counter_falls(
    proxy: Proxy,
) -> None:
    with spread(proxy, 4) as clients:
        load = Load(proxy, 4)
        try:
            assert eventually(lambda: load.done > 100, 60)
            before, restarts = statements(proxy), metric(proxy, "partywall_worker_restarts_total")
            victim = proxy.worker(2)
            os.kill(victim, signal.SIGKILL)
            assert eventually(lambda: not ready(proxy), 30)
            seen = [before]
            for number, one in clients.items():
                if number != 2:
                    assert one.simple(COUNT).rows == [(b"21",)]
                seen.append(statements(proxy))
            wait_ready(proxy)
            seen.append(statements(proxy))
            assert seen == sorted(seen)
            assert proxy.worker(2) != victim
            assert metric(proxy, "partywall_worker_restarts_total") == restarts + 1
            done = load.done
            assert eventually(lambda: load.done > done + 100, 60)
            with spread(proxy, 4):
                pass
        finally:
            load.end()
        assert len(load.broken) <= 4
        assert gone(clients[2])


def test_a_worker_that_hangs_is_noticed_and_replaced(postgres15: Cluster) -> None:
    with running_workers(postgres15, 2, WORKER_TIMEOUT="3") as proxy:
        victim = proxy.worker(1)
        os.kill(victim, signal.SIGSTOP)
        assert eventually(lambda: not alive(victim), 60)
        assert "worker hangs" in proxy.log
        wait_ready(proxy)
        with spread(proxy, 2):
            pass


def test_a_reload_is_all_workers_and_mistakes_reach_none(proxy: Proxy) -> None:
    generation = proxy.ask(Reload()).result["generation"]
    bad = proxy.directory / "rules" / "bad.yaml"
    bad.write_text("tenant: mallory\nkey: 1\ncolour: red\n")
    try:
        told = proxy.ask(Reload())
        assert any("bad.yaml:3" in one for one in told.problems), told.problems
        loaded = [one["generation"] for one in proxy.ask(Statistics()).result["processes"]]
        assert loaded == [generation] * 4
    finally:
        bad.unlink()
    proxy.reload()  # by SIGHUP
    assert eventually(lambda: generations(proxy) == [generation + 1] * 4, 60)


def generations(proxy: Proxy) -> list[int]:
    return [one["generation"] for one in proxy.ask(Statistics()).result["processes"]]


def test_a_pause_is_of_all_workers_and_of_one_that_starts_meanwhile(proxy: Proxy) -> None:
    with spread(proxy, 4) as clients, ThreadPoolExecutor(4) as pool:
        clients[1].simple("BEGIN")
        clients[1].simple(COUNT)
        told = proxy.ask(Pause("acme", timeout=0.3))
        assert len(told.problems) == 1
        assert [one["process_id"] >> 20 for one in told.result["holders"]] == [1]
        assert clients[0].simple(COUNT).rows == [(b"21",)]
        clients[1].simple("COMMIT")
        assert proxy.ask(Pause("acme")).result == {"paused": "tenant acme", "for": None}
        os.kill(proxy.worker(3), signal.SIGKILL)
        waiting = [pool.submit(clients[number].simple, COUNT) for number in (0, 1, 2)]
        assert eventually(lambda: not ready(proxy), 30)
        wait_ready(proxy)
        paused = [one["paused"] for one in proxy.ask(Statistics()).result["processes"]]
        assert paused == [[{"tenant": "acme", "database": None, "for": None}]] * 4
        assert not any(one.done() for one in waiting)
        assert proxy.ask(Resume("acme")).result == {"resumed": ["tenant acme"]}
        assert [one.result(30).rows for one in waiting] == [[(b"21",)]] * 3
        assert proxy.ask(Pause("acme", hold=0.2)).problems == ()
        assert clients[0].simple(COUNT).rows == [(b"21",)]


def test_kills_and_a_tenants_drain_are_of_all_workers(proxy: Proxy) -> None:
    with spread(proxy, 4) as clients, spread(proxy, 2, "globex_app") as others:
        assert len(proxy.ask(Kill("acme")).result["killed"]) == 4
        assert all(died(one) for one in clients.values())
        with spread(proxy, 2) as idle:
            assert proxy.ask(Drain("acme")).result == {"drained": "acme"}
            assert all(died(one) for one in idle.values())
        for _ in range(8):
            with proxy.connect("acme_app") as refused:
                assert [one["C"] for one in refused.greeting.errors] == ["57P03"]
        for one in others.values():
            assert one.simple("SELECT 1").rows == [(b"1",)]


def test_who_notifies_at_another_worker_is_heard_and_shown_by_no_process_of_the_servers(proxy: Proxy) -> None:
    with spread(proxy, 2) as clients:
        listener, notifier = clients.values()
        listener.simple("LISTEN news")
        assert notifier.simple("NOTIFY news, 'hello'").tags == ["NOTIFY"]
        said = listener.receive()
        assert said is not None
        assert said.tag == "A"
        assert int.from_bytes(said.body[:4], "big") == UNKNOWN_PROCESS
        assert said.body[4:] == b"news\0hello\0"


def test_wrong_passwords_are_counted_over_all_workers(proxy: Proxy) -> None:
    """Else an attacker had the three that are free once for each; that one worker hears all six is as good as never."""
    before = metric(proxy, "partywall_logins_delayed_total")
    for _ in range(6):
        with RawClient("127.0.0.1", proxy.port, "initech_app", "shared", "wrong") as client:
            assert [one["C"] for one in client.greeting.errors] == ["28P01"]
        eventually(lambda: False, 0.2)  # what was weighed is told within 50 ms
    assert metric(proxy, "partywall_logins_delayed_total") >= before + 3


def test_the_workers_are_replaced_one_after_the_other_and_somebody_always_serves(postgres15: Cluster) -> None:
    with running_workers(postgres15, 2) as proxy:
        before = [proxy.worker(0), proxy.worker(1)]
        load = Load(proxy, 2)
        try:
            os.kill(proxy.process.pid, signal.SIGUSR2)
            assert eventually(lambda: not any(alive(one) for one in before), 120)
            wait_ready(proxy)
            assert metric(proxy, "partywall_worker_restarts_total") == 0
        finally:
            load.end()
        # The last is what libpq makes of "shutting down" when it comes in answer to its question for TLS.
        told = ("terminating connection", "closed the connection", "shutting down", "error response during SSL")
        assert all(any(one in text for one in told) for text in load.broken), load.broken
        assert len(load.broken) <= 2 * 4  # each client once by each worker, or twice where it met it at the last moment


def test_a_drain_is_whole_when_every_transaction_could_end_and_leaves_no_process_and_no_port(
    postgres15: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sockets = tmp_path_factory.mktemp("s")
    with running_workers(postgres15, 3, UNIX_SOCKET_DIRECTORY=str(sockets)) as proxy, spread(proxy, 3) as clients:
        workers = [proxy.worker(number) for number in range(3)]
        with psycopg.connect(f"{proxy.dsn('acme_app')}?host={sockets}") as local:
            assert local.execute(COUNT).fetchone() == (21,)
        clients[0].simple("BEGIN")
        proxy.process.terminate()
        assert died(clients[1])
        assert died(clients[2])
        assert not ready(proxy)
        assert eventually(lambda: refused(proxy.port), 30)
        assert clients[0].simple(COUNT).rows == [(b"21",)]
        clients[0].simple("COMMIT")
        assert proxy.process.wait(60) == 0
        assert '"whole": true' in proxy.log.splitlines()[-1]
        assert not any(alive(one) for one in workers)
        assert not list(sockets.iterdir())
        assert not list((proxy.directory / "state").glob("control*"))


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_second_signal_does_not_wait(postgres15: Cluster) -> None:
    with running_workers(postgres15, 2) as proxy, spread(proxy, 2) as clients:
        clients[0].simple("BEGIN")
        proxy.process.terminate()
        assert died(clients[1])
        proxy.process.terminate()
        assert proxy.process.wait(30) == 0
        assert died(clients[0])
        assert '"whole": false' in proxy.log.splitlines()[-1]


def test_a_quit_does_not_wait_even_for_workers_that_have_not_heard_the_first_signal(postgres15: Cluster) -> None:
    with running_workers(postgres15, 2) as proxy, spread(proxy, 2) as clients:
        asleep = proxy.worker(0)
        clients[0].simple("BEGIN")
        os.kill(asleep, signal.SIGSTOP)
        proxy.process.terminate()
        assert died(clients[1])  # who sleeps has been told too
        proxy.process.send_signal(signal.SIGQUIT)
        os.kill(asleep, signal.SIGCONT)
        assert proxy.process.wait(60) == 0
        assert died(clients[0])
        assert '"whole": false' in proxy.log.splitlines()[-1]


def test_an_interrupt_at_the_terminal_is_for_the_supervisor_alone(postgres15: Cluster) -> None:
    with running_workers(postgres15, 2) as proxy, spread(proxy, 2) as clients:
        clients[0].simple("BEGIN")
        for one in (proxy.worker(0), proxy.worker(1)):
            os.kill(one, signal.SIGINT)
        proxy.process.send_signal(signal.SIGINT)
        assert died(clients[1])
        assert clients[0].simple("COMMIT").tags == ["COMMIT"]
        assert proxy.process.wait(60) == 0
        assert '"whole": true' in proxy.log.splitlines()[-1]


def test_workers_end_when_their_supervisor_is_killed_and_the_ports_are_free_again(postgres15: Cluster) -> None:
    with running_workers(postgres15, 2, DRAIN_TIMEOUT="1") as proxy, spread(proxy, 2) as clients:
        workers = [proxy.worker(0), proxy.worker(1)]
        clients[0].simple("BEGIN")
        proxy.process.kill()
        proxy.process.wait()
        assert eventually(lambda: not any(alive(one) for one in workers), 60)
        with socket.create_server(("127.0.0.1", proxy.port)), socket.create_server(("127.0.0.1", proxy.admin_port)):
            pass


def test_the_workers_may_take_new_connections_from_one_queue(postgres15: Cluster) -> None:
    with running_workers(postgres15, 2, REUSE_PORT="false") as proxy:
        victim = proxy.worker(0)
        os.kill(victim, signal.SIGSTOP)  # and the other serves everybody
        try:
            for _ in range(20):
                with proxy.connect("acme_app") as client:
                    assert client.simple(COUNT).rows == [(b"21",)]
        finally:
            os.kill(victim, signal.SIGCONT)


def test_the_port_of_another_proxy_is_not_shared_with_it(proxy: Proxy, tmp_path: Path) -> None:
    rules, listen = str(proxy.directory / "rules"), f"127.0.0.1:{proxy.port}"
    arguments = ("serve", "--rules", rules, "--listen", listen, "--admin-listen", "127.0.0.1:0")
    done = proxy.command(*arguments, PARTYWALL_WORKERS="2", PARTYWALL_STATE_DIRECTORY=str(tmp_path))
    assert done.returncode == 1
    assert "Address already in use" in done.stderr


def test_a_tenants_limit_on_connections_is_one_for_all_workers(proxy: Proxy) -> None:
    with ExitStack() as stack:
        came = [stack.enter_context(proxy.connect("initech_app")) for _ in range(9)]
        told = [[one["C"] for one in client.greeting.errors] for client in came]
        assert told.count([]) == 5
        assert told.count(["53300"]) == 4
