"""`python -m tests.equivalence.smith --count 10000`: Debian's sqlsmith pointed at the proxy.

It knows no tenants: it reads the catalog that it is shown, and sends what it makes of it. Every byte of the answers is
searched for the canary that all rows of tenant 2 carry. Prints the share of statements that were executed, and beside
it that of a private database: much of what sqlsmith writes is wrong anywhere.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field

from tests.equivalence.record import Show, relay
from tests.equivalence.stage import TEMPLATE, load_traps
from tests.kit.postgres import Cluster, running
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import error_fields

CANARY = b"globex"
DATABASE, PRIVATE = "traps_smith", "traps_smith_private"
CONNECTIONS = 3  # of one run: two for the catalog, one for the statements; one more is opened for each that is lost
AROUND = frozenset({b"BEGIN", b"ROLLBACK", b"SET"})  # what it sends around each statement


@dataclass(slots=True)
class Watch:
    """The answers, message by message. executed: statements that ended without an error."""

    executed: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    leaks: list[bytes] = field(default_factory=list)
    lost: int = 0
    _buffer: bytes = b""
    _tail: bytes = b""

    def feed(self, data: bytes) -> None:
        seen = self._tail + data
        at = seen.find(CANARY)
        if at >= 0:
            self.leaks.append(seen[max(0, at - 200) : at + 200])
        self._tail = data[-len(CANARY) :] if at < 0 else b""
        self._buffer += data
        while len(self._buffer) >= 5:
            length = int.from_bytes(self._buffer[1:5], "big")
            if len(self._buffer) < 1 + length:
                return
            tag, body = self._buffer[:1], self._buffer[5 : 1 + length]
            self._buffer = self._buffer[1 + length :]
            self.executed += tag == b"C" and body.split(b" ")[0].rstrip(b"\0") not in AROUND
            if tag == b"E":
                fields = error_fields(body)
                self.errors[fields.get("C", "")] += 1
                self.messages[f"{fields.get('C', '')} {fields.get('M', '')[:80]}"] += 1

    @property
    def total(self) -> int:
        return self.executed + sum(self.errors.values())

    def report(self) -> str:
        lines = [
            f"statements {self.total}, executed {self.executed / max(1, self.total):.1%}, "
            f"canaries {len(self.leaks)}, lost connections {self.lost}"
        ]
        lines += [f"  {count:6} {message}" for message, count in self.messages.most_common(20)]
        return "\n".join(lines)


def load_smith(cluster: Cluster) -> None:
    """The traps without the table whose name needs quotes, for sqlsmith never writes any."""
    load_traps(cluster)
    for name, template in ((DATABASE, TEMPLATE), (PRIVATE, "traps_private1")):
        if name not in cluster.databases():
            cluster.create_database(name, template)
            cluster.psql(name, 'DROP TABLE "Order Details"')


def at_proxy(proxy: Proxy) -> str:
    """Where sqlsmith finds the proxy, but for the address."""
    return f"user=acme_app password={proxy.passwords['acme_app']} dbname={proxy.database} sslmode=disable"


def program() -> str:
    """Where sqlsmith is. RuntimeError where it is missing: what was not sent was not shown to be harmless."""
    found = shutil.which("sqlsmith")
    if found is None:
        raise RuntimeError("sqlsmith is missing. On Debian and Ubuntu: apt-get install sqlsmith")
    return found


def smith(port: int, login: str, seed: int, count: int, seconds: float) -> Watch:
    """Lets sqlsmith send `count` statements to a local port, for at most so many seconds. login: the rest of its
    connection string.
    """
    watches: list[Watch] = []

    def watch() -> tuple[Show, Show]:
        watches.append(Watch())
        return lambda _: None, watches[-1].feed

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serve = threading.Thread(target=relay, args=(listener, ("127.0.0.1", port), watch), daemon=True)
        serve.start()
        target = f"host=127.0.0.1 port={listener.getsockname()[1]} {login}"
        command = [program(), f"--target={target}", f"--max-queries={count}", f"--seed={seed}", "--exclude-catalog"]
        try:
            said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            serve.join(10)
        if said.returncode != 0:
            raise RuntimeError(f"sqlsmith ended with status {said.returncode}: {said.stderr[-2000:]}")
    # the first connection reads the catalog, the others ask
    every = Watch(leaks=watches[0].leaks, lost=len(watches) - CONNECTIONS)
    for one in watches[1:]:
        every.executed += one.executed
        every.errors.update(one.errors)
        every.messages.update(one.messages)
        every.leaks += one.leaks
    return every


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--major", type=int, default=15)
    chosen = parser.parse_args()
    with running(chosen.major) as cluster:
        load_smith(cluster)
        with running_proxy(cluster.port, DATABASE) as proxy:
            watch = smith(proxy.port, at_proxy(proxy), chosen.seed, chosen.count, 7200)
            alive = proxy.process.poll() is None
            bugs = proxy.log.count("Traceback")
        private = smith(cluster.port, f"user=app dbname={PRIVATE} sslmode=disable", chosen.seed, chosen.count, 7200)
    print(f"proxy: {watch.report()}")
    print(f"private database: {private.report()}")
    for leak in watch.leaks[:5]:
        print(f"canary: {leak!r}")
    print(f"exceptions of the proxy: {bugs}; the proxy lives: {alive}")
    return 1 if watch.leaks or watch.lost or bugs or not alive or watch.errors["XX000"] else 0


if __name__ == "__main__":
    sys.exit(main())
