"""Relay: megabytes of rows a second from a server to a client that only reads, directly and through each proxy.

Rows of 10 KB and of 100 bytes, as one simple query; the client does nothing but count bytes. Rounds take the targets in
turn; the table holds the best of each, and of the proxy's CPU. `python -m benchmarks.relay` runs this alone.
"""

from __future__ import annotations

import argparse
import os
import socket
import time
from dataclasses import dataclass

import psycopg

from benchmarks.targets import PASSWORD, TENANT, Bench, Target, open_bench

SIZES = {10_000: "10 KB", 100: "100 bytes"}
FILLER = 89  # characters; a row of one such value is a message of 100 bytes
STEP = 1000  # rows of the table `relay`, which a query repeats; 10,000 times at most
ROUNDS = 3
READ = 1 << 20
END = b"Z\0\0\0\5I"  # no row here can end so


@dataclass(frozen=True, slots=True)
class Flow:
    """MB a second, of what the client got; cpu: the same for a second of the proxy's CPU time, None without a proxy."""

    rows: str
    target: str
    megabytes: float
    cpu: float | None


def measure(bench: Bench, megabytes: int) -> list[Flow]:
    """Each row size through each target."""
    targets = [one for one in (bench.direct, bench.bouncer, bench.partywall) if one is not None]
    found = []
    for size, rows in SIZES.items():
        best: dict[str, Flow] = {}
        for _ in range(ROUNDS):
            for target in targets:
                flow = relay(target, size, megabytes, rows)
                known = best.get(target.name, flow)
                cpu = None if flow.cpu is None or known.cpu is None else max(flow.cpu, known.cpu)
                best[target.name] = Flow(rows, target.name, max(flow.megabytes, known.megabytes), cpu)
        found += best.values()
    return found


def relay(target: Target, size: int, megabytes: int, rows: str) -> Flow:
    """One query's rows."""
    count = max(1, megabytes * 1_000_000 // size // STEP)
    tenants = "" if target.name == "Partywall" else f" AND a.tenant_id = {TENANT} AND b.tenant_id = {TENANT}"
    value = "a.filler" if size == 100 else f"repeat(a.filler, {size // FILLER})"
    query = f"SELECT {value} FROM relay a, relay b WHERE a.n <= {STEP} AND b.n <= {count}{tenants}".encode() + b"\0"
    with psycopg.connect(
        host="127.0.0.1", port=target.port, user=target.user, dbname=target.database, password=PASSWORD, autocommit=True
    ) as connection:
        wire = socket.socket(fileno=os.dup(connection.fileno()))
        wire.setblocking(True)
        buffer = bytearray(READ)
        spent = sum(target.cpu_seconds())
        begin = time.perf_counter()
        wire.sendall(b"Q" + (len(query) + 4).to_bytes(4, "big") + query)
        total = 0
        while True:
            got = wire.recv_into(buffer)
            total += got
            if got == 0 or (got >= 6 and buffer[got - 6 : got] == END):
                break
        seconds = time.perf_counter() - begin
        spent = sum(target.cpu_seconds()) - spent
        wire.close()
    if total < count * STEP * size * 0.99:
        raise RuntimeError(f"{target.name} sent {total} bytes: {bytes(buffer[:200])!r}")
    return Flow(rows, target.name, total / seconds / 1e6, total / max(spent, 0.01) / 1e6 if target.pid else None)


def table(flows: list[Flow]) -> list[str]:
    """Markdown."""
    lines = [
        "| rows | target | MB/s | ratio to PgBouncer | MB for a second of the proxy's CPU | ratio to PgBouncer |",
        "|---|---|---|---|---|---|",
    ]
    peers = {one.rows: one for one in flows if one.target == "PgBouncer"}
    for one in flows:
        peer = peers.get(one.rows) if one.target == "Partywall" else None
        ratio = f"{one.megabytes / peer.megabytes:.2f}" if peer else ""
        cpu = "" if one.cpu is None else f"{one.cpu:.0f}"
        share = f"{one.cpu / peer.cpu:.2f}" if peer and peer.cpu and one.cpu else ""
        lines.append(f"| {one.rows} | {one.target} | {one.megabytes:.0f} | {ratio} | {cpu} | {share} |")
    return lines


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relay")
    parser.add_argument("--megabytes", type=int, default=200)
    arguments = parser.parse_args()
    with open_bench(20, 100) as bench:
        print("\n".join(table(measure(bench, arguments.megabytes))))


if __name__ == "__main__":
    main()
