"""Four proxy processes and a real Redis, which dies and comes back under load: what clients saw passes no limit.

A statement was admitted at some time between its sending and its answer, and a client was connected at least from its
greeting to its leaving. So what is judged is certain, however slow the machine is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.redisserver import RedisServer, running_redis
from tests.kit.rules import sample_rules
from tests.kit.sample import load_sample
from tests.kit.workers import running_workers

PROCESSES = 4
RATE, BURST, CONNECTIONS = 40.0, 20, 6
BLOCK = RATE * 0.1
TTL = 4.0
PAUSE = 0.02  # seconds between two attempts of a client
PHASE = 5.0
QUOTAS = f"""
defaults:
  quotas: {{connections: {CONNECTIONS}, statements_per_second: {RATE:.0f}, statement_burst: {BURST}}}
"""
Span = tuple[float, float]


@dataclass
class Load:
    """Clients of one tenant at every proxy, and what they saw."""

    proxies: list[Proxy]
    admitted: list[tuple[float, float, int]] = field(default_factory=list)
    connected: list[Span] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for which in range(PROCESSES):
            for _ in range(2):
                self.threads.append(threading.Thread(target=self.client, args=(which,)))
        for thread in self.threads:
            thread.start()

    def client(self, which: int) -> None:
        """Connects, sends a number of statements, leaves; again and again."""
        while not self.stop.wait(PAUSE):
            try:
                with self.proxies[which].connect("acme_app") as client:
                    if client.greeting.errors or client.greeting.closed:
                        continue
                    began = time.monotonic()
                    for _ in range(60):
                        sent = time.monotonic()
                        answer = client.simple("SELECT 1")
                        if answer.rows:
                            self.admitted.append((sent, time.monotonic(), which))
                        elif answer.closed or self.stop.wait(PAUSE):
                            break
                    self.connected.append((began, time.monotonic()))
            except OSError:
                continue

    def go_on(self, seconds: float, admitted: int) -> None:
        """For so long, and until so many more statements were admitted."""
        began, before = time.monotonic(), len(self.admitted)
        until(lambda: time.monotonic() - began > seconds and len(self.admitted) - before > admitted, 60)

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


def most_at_once(spans: list[Span]) -> int:
    """How many of these overlap, at most."""
    steps = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans], key=lambda one: one)
    count = most = 0
    for _, step in steps:
        count += step
        most = max(most, count)
    return most


def judge(admitted: list[tuple[float, float, int]]) -> None:
    """In every window that begins with a sending and ends with an answer."""
    by_answer = sorted(admitted, key=lambda one: one[1])
    for start in sorted(sent for sent, _, _ in admitted):
        who: set[int] = set()
        count = 0
        for sent, answered, which in by_answer:
            if sent >= start:
                count += 1
                who.add(which)
                most = RATE * (answered - start) + BURST + BLOCK * PROCESSES
                assert count <= most, f"{count} admitted within {answered - start:.3f} s, {most:.1f} allowed"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
def proxies(postgres15: Cluster, redis: RedisServer) -> Iterator[list[Proxy]]:
    port = load_sample(postgres15).port
    rules = sample_rules(port, "shared") + "---\n" + QUOTAS
    settings = {"COUNTER_STORE": redis.url, "PERMIT_TTL": str(TTL)}
    with ExitStack() as stack, ThreadPoolExecutor(PROCESSES) as pool:  # each waits for its share before it listens
        yield list(
            pool.map(lambda _: stack.enter_context(running_proxy(port, rules=rules, **settings)), range(PROCESSES))
        )


def until(true: Callable[[], bool], seconds: float) -> None:
    """Waits for something that other processes bring about."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.05)


def test_no_window_has_more_than_the_limit_while_the_store_dies_and_comes_back(
    proxies: list[Proxy], redis: RedisServer
) -> None:
    load = Load(proxies)
    load.start()
    marks = []
    try:
        for change in (None, redis.kill, redis.start):
            if change is not None:
                change()
            marks.append(time.monotonic())
            load.go_on(PHASE, int(RATE))
    finally:
        load.end()
    judge(load.admitted)
    assert most_at_once(load.connected) <= CONNECTIONS
    dead = [one for one in load.admitted if marks[1] < one[0] < marks[2]]
    assert len(dead) >= RATE
    assert all("counter store back" in proxy.log for proxy in proxies)
    back = [one for one in load.admitted if one[0] > marks[2]]
    assert len(back) >= RATE


def test_what_a_killed_process_held_comes_back_to_the_others(proxies: list[Proxy]) -> None:
    first = [proxies[0].connect("acme_app") for _ in range(CONNECTIONS)]
    assert not any(client.greeting.errors for client in first)
    with proxies[1].connect("acme_app") as refused:
        assert [error["C"] for error in refused.greeting.errors] == ["53300"]
    proxies[0].process.kill()
    for client in first:
        client.close()
    held: list[RawClient] = []

    def another() -> bool:
        client = proxies[1 + len(held) % 3].connect("acme_app")
        if client.greeting.errors:
            client.close()
        else:
            held.append(client)
        return len(held) == CONNECTIONS

    until(another, 60)
    with proxies[2].connect("acme_app") as refused:
        assert [error["C"] for error in refused.greeting.errors] == ["53300"]
    for client in held:
        client.close()


def test_what_a_stopped_process_held_comes_back_at_once(proxies: list[Proxy]) -> None:
    first = [proxies[0].connect("acme_app") for _ in range(CONNECTIONS)]
    proxies[0].process.terminate()
    for client in first:
        client.close()
    proxies[0].process.wait(30)
    ended = time.monotonic()
    client = proxies[1].connect("acme_app")
    assert client.greeting.errors == []
    assert time.monotonic() - ended < TTL
    client.close()


def test_workers_of_one_host_together_pass_no_limit_either(postgres15: Cluster) -> None:
    rules = sample_rules(load_sample(postgres15).port, "shared") + "---\n" + QUOTAS
    with running_workers(postgres15, PROCESSES, rules=rules) as proxy:
        load = Load([proxy] * PROCESSES)
        load.start()
        try:
            load.go_on(PHASE, int(RATE))
        finally:
            load.end()
        judge(load.admitted)
        assert most_at_once(load.connected) <= CONNECTIONS
        assert "partywall_counter_store_up 1.0" in proxy.metrics()
