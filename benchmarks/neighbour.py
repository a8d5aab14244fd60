"""How much one tenant's 100 KB multi-row INSERTs delay another tenant's point selects: p99 with and without, in one
run.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import psycopg

from benchmarks.pgbench import percentile
from benchmarks.planning import values
from benchmarks.targets import PASSWORD, Target


@dataclass(frozen=True, slots=True)
class Delay:
    """Milliseconds."""

    p99_alone: float
    p99_beside: float
    inserts: int

    @property
    def difference(self) -> float:
        return self.p99_beside - self.p99_alone


def measure(target: Target, other_user: str, seconds: float) -> Delay:
    """Point selects of the target's user for `seconds` alone, then for `seconds` beside another tenant's INSERTs,
    each of another text.
    """
    alone = _selects(target, seconds)
    stop = threading.Event()
    done: list[int] = []
    noise = threading.Thread(target=_inserts, args=(target, other_user, stop, done))
    noise.start()
    try:
        beside = _selects(target, seconds)
    finally:
        stop.set()
        noise.join()
    return Delay(percentile(alone, 0.99), percentile(beside, 0.99), len(done))


def _connect(target: Target, user: str) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1",
        port=target.port,
        user=user,
        dbname=target.database,
        password=PASSWORD,
        autocommit=True,
        prepare_threshold=None,
    )


def _selects(target: Target, seconds: float) -> list[float]:
    times: list[float] = []
    with _connect(target, target.user) as connection:
        end = time.perf_counter() + seconds
        serial = 0
        while time.perf_counter() < end:
            serial += 1
            begun = time.perf_counter()
            connection.execute(f"SELECT abalance FROM pgbench_accounts WHERE aid = {serial % 1000 + 1}".encode())
            times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)


def _inserts(target: Target, user: str, stop: threading.Event, done: list[int]) -> None:
    with _connect(target, user) as connection:
        serial = 0
        while not stop.is_set():
            serial += 1
            connection.execute(values(100_000).replace("(1, 1, 1, 100", f"(1, 1, 1, {serial}").encode())
            done.append(serial)
