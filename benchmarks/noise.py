"""The noisy tenant: `python -m benchmarks.noise` does everything at once that a bad neighbour can do, and counts.

flood: many connections, point selects as fast as they are answered; large: results of 1 MB; slow: cross joins; bombs:
texts that were never seen before, long ones and deeply nested ones; logins: a new connection for each statement;
cancels: cancel requests for a connection that runs slow statements. What is refused or canceled is not counted as done,
and what ends before or after the seconds that count is not counted. Prints one JSON object: done, and failed, by kind.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import os
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from benchmarks.targets import PASSWORD
from proxy.auth.scram import SaltedPasswords
from proxy.wire.frontend import Query
from proxy.wire.handshake import ServerHandshake
from proxy.wire.startup import PROTOCOL_3_0

CLIENTS = {"flood": 32, "large": 4, "slow": 4, "bombs": 4, "logins": 2, "cancels": 1}
CANCEL_EVERY = 0.005  # seconds
PAUSE = 0.01  # seconds after a refusal: no client is so eager that it does nothing else
SALTED: SaltedPasswords = {}


@dataclass
class Noise:
    """Where it goes. own: what an application without Partywall writes itself. counted: from when to when."""

    port: int
    user: str
    database: str
    own: str
    counted: tuple[float, float]
    until: float
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def over(self) -> bool:
        return asyncio.get_running_loop().time() >= self.until

    def count(self, one: Counter[str], kind: str) -> None:
        """In one of `done` and `failed`, if it is time."""
        begin, end = self.counted
        if begin <= asyncio.get_running_loop().time() < end:
            one[kind] += 1

    def texts(self, kind: str, serial: Iterator[int]) -> Iterator[str]:
        """One after the other."""
        own = self.own
        while True:
            n = next(serial)
            if kind in {"flood", "logins"}:
                yield f"SELECT abalance FROM pgbench_accounts WHERE {own}aid = {n % 1000 + 1}"
            elif kind == "large":
                yield f"SELECT * FROM relay{' WHERE ' + own.removesuffix(' AND ') if own else ''}"
            elif kind in {"slow", "cancels"}:
                each = f"a.{own}b.{own}" if own else ""
                yield f"SELECT count(*) FROM relay AS a, relay AS b WHERE {each}a.n + b.n = {n} AND b.n < 100"
            else:
                yield from self.bombs(n)

    def bombs(self, n: int) -> Iterator[str]:
        """Each with a shape of its own; none is worth planning."""
        several = ", ".join(f"abalance + {column} AS c{n}_{column}" for column in range(500))
        yield f"SELECT {several} FROM pgbench_accounts WHERE {self.own}aid = 1"
        nested = f"SELECT abalance AS n{n} FROM pgbench_accounts WHERE {self.own}aid = 1"
        for depth in range(25):
            nested = f"SELECT n{n} FROM ({nested}) AS d{depth}"
        yield nested
        if not self.own:
            rows = ", ".join(["(1, 1, 1, 100, CURRENT_TIMESTAMP, 'some filler text')"] * 500)
            yield f"INSERT INTO pgbench_history (tid, bid, aid, delta, mtime, filler) VALUES {rows} RETURNING tid AS r{n}"


class Connection(asyncio.Protocol):
    """A client that asks one thing after the other."""

    def __init__(self, noise: Noise, kind: str, texts: Iterator[str], closed: Callable[[], None]) -> None:
        nonce = base64.b64encode(os.urandom(18))
        self.noise, self.kind, self.texts, self.closed = noise, kind, texts, closed
        self.handshake = ServerHandshake(
            noise.user, noise.database, {}, PASSWORD, nonce, cache=SALTED, version=PROTOCOL_3_0
        )
        self.buffer = b""
        self.failing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.handshake.start())

    def data_received(self, data: bytes) -> None:
        if not self.handshake.done:
            self._log_in(data)
            return
        if data[0] == 69:  # an error is the whole answer
            self.failing = True
        if data[-6:-1] == b"Z\0\0\0\5":
            self.noise.count(self.noise.failed if self.failing else self.noise.done, self.kind)
            failed, self.failing = self.failing, False
            if self.kind == "logins":
                self.transport.close()
            elif failed:
                asyncio.get_running_loop().call_later(PAUSE, self._ask)
            else:
                self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed()

    def _log_in(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 5 and not self.handshake.done:
            length = int.from_bytes(self.buffer[1:5], "big")
            if len(self.buffer) < 1 + length:
                return
            tag, body, self.buffer = self.buffer[0], self.buffer[5 : 1 + length], self.buffer[1 + length :]
            try:
                for answer in self.handshake.receive(tag, body):
                    self.transport.write(answer)
            except Exception:
                self.noise.count(self.noise.failed, self.kind)
                self.transport.abort()
                return
        if self.handshake.done:
            self._ask()

    def _ask(self) -> None:
        if self.noise.over:
            self.transport.close()
        else:
            self.transport.write(Query(next(self.texts).encode()).encode())


async def client(noise: Noise, kind: str, serial: Iterator[int]) -> None:
    """One of them, until the time is over; who is thrown out comes again."""
    texts = noise.texts(kind, serial)
    while not noise.over:
        gone = asyncio.Event()
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                partial(Connection, noise, kind, texts, gone.set), "127.0.0.1", noise.port
            )
        except OSError:
            noise.count(noise.failed, kind)
            await asyncio.sleep(PAUSE)
            continue
        cancels = asyncio.ensure_future(cancel(noise, connection)) if kind == "cancels" else None
        ended = asyncio.ensure_future(gone.wait())
        await asyncio.wait({ended}, timeout=max(0.0, noise.until - asyncio.get_running_loop().time()))
        ended.cancel()
        connection.transport.abort()
        if cancels is not None:
            cancels.cancel()


async def cancel(noise: Noise, connection: Connection) -> None:
    """A cancel request every few milliseconds for what the connection does."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(CANCEL_EVERY)
        if connection.handshake.done:
            with suppress(OSError):
                with socket.socket() as one:
                    one.setblocking(False)
                    await loop.sock_connect(one, ("127.0.0.1", noise.port))
                    key = connection.handshake.secret_key
                    head = struct.pack(">iii", 12 + len(key), 80877102, connection.handshake.process_id)
                    await loop.sock_sendall(one, head + key)
                noise.count(noise.done, "cancel requests")


async def make(arguments: argparse.Namespace) -> Noise:
    """All of it, for the seconds given."""
    begin = asyncio.get_running_loop().time() + arguments.before
    counted = begin, begin + arguments.seconds
    until = counted[1] + arguments.after
    noise = Noise(arguments.port, arguments.user, arguments.database, arguments.own, counted, until)
    serial = itertools.count(arguments.first)
    kinds = [kind for kind in arguments.kinds for _ in range(CLIENTS[kind])]
    await asyncio.gather(*(client(noise, kind, serial) for kind in kinds))
    return noise


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.noise", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--own", default="")
    parser.add_argument("--seconds", type=float, default=5.0, help="that count")
    parser.add_argument("--before", type=float, default=0.0, help="seconds of noise before them")
    parser.add_argument("--after", type=float, default=0.0, help="and after them")
    parser.add_argument("--first", type=int, default=0, help="of the numbers that make texts differ")
    parser.add_argument("--kinds", nargs="+", default=list(CLIENTS), choices=list(CLIENTS))
    arguments = parser.parse_args()
    # This machine is the server's and the proxy's too: what the noise costs to make is not what it does.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    factory = import_module("uvloop").new_event_loop if find_spec("uvloop") else None
    with asyncio.Runner(loop_factory=factory) as runner:
        noise = runner.run(make(arguments))
    json.dump({"done": noise.done, "failed": noise.failed}, sys.stdout)


if __name__ == "__main__":
    main()
