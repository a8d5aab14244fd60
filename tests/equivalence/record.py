"""`python -m tests.equivalence.record NAME COMMAND…` runs an application before a private database and writes down what
it sends, to tests/equivalence/recorded/NAME.jsonl; DSN in the command becomes the recorder's own address.

One line is one statement: [text, type OIDs, values in hex, their formats, result formats], or [text] by the simple
protocol. A relay reads the client's messages on their way; answers are not kept: what they must be is a private
database's business at each replay.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tests.kit.postgres import running
from tests.kit.sample import load_sample

RECORDED = Path(__file__).parent / "recorded"
Line = list[object]
Show = Callable[[bytes], None]


class Recorder:
    """What one client sent; several write to one list, in the order of their statements."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self._buffer = b""
        self._started = False
        self._statements: dict[bytes, tuple[bytes, list[int]]] = {}
        self._portals: dict[bytes, Line] = {}

    def feed(self, data: bytes) -> None:
        """More of what was sent."""
        self._buffer += data
        for tag, body in self._messages():
            self._take(tag, body)

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            head = 0 if not self._started else 1
            if len(self._buffer) < head + 4:
                return
            (length,) = struct.unpack_from("!i", self._buffer, head)
            if len(self._buffer) < head + length:
                return
            tag, body = self._buffer[:head], self._buffer[head + 4 : head + length]
            self._buffer = self._buffer[head + length :]
            if not self._started:
                self._started = body[:4] == struct.pack("!i", 196608)  # or a request for encryption, which is declined
                continue
            yield tag, body

    def _take(self, tag: bytes, body: bytes) -> None:
        if tag == b"Q":
            self.lines.append([body[:-1].decode()])
        elif tag == b"P":
            name, text, rest = body.split(b"\0", 2)
            (count,) = struct.unpack_from("!h", rest)
            self._statements[name] = (text, list(struct.unpack_from(f"!{count}i", rest, 2)))
        elif tag == b"B":
            portal, name, rest = body.split(b"\0", 2)
            formats, at = _numbers(rest, 0)
            (count,) = struct.unpack_from("!h", rest, at)
            at += 2
            values: list[str | None] = []
            for _ in range(count):
                (length,) = struct.unpack_from("!i", rest, at)
                at += 4
                values.append(None if length < 0 else rest[at : at + length].hex())
                at += max(length, 0)
            results, _ = _numbers(rest, at)
            text, types = self._statements[name]
            self._portals[portal] = [text.decode(), types, values, formats, results]
        elif tag == b"E":
            self.lines.append(self._portals[body.split(b"\0", 1)[0]])


def _numbers(data: bytes, at: int) -> tuple[list[int], int]:
    (count,) = struct.unpack_from("!h", data, at)
    return list(struct.unpack_from(f"!{count}h", data, at + 2)), at + 2 + 2 * count


def relay(listener: socket.socket, server: tuple[str, int], watch: Callable[[], tuple[Show, Show]]) -> None:
    """Serves any number of clients. watch() is asked for each: what to show what it sends, and what it is answered."""
    threads = []
    with suppress(OSError):  # the listener was shut down
        while True:
            client, _ = listener.accept()
            threads.append(threading.Thread(target=_serve, args=(client, server, *watch()), daemon=True))
            threads[-1].start()
    for one in threads:
        one.join(10)


def _serve(client: socket.socket, server: tuple[str, int], sent: Show, answered: Show) -> None:
    with client, socket.create_connection(server) as upstream:
        back = threading.Thread(target=_pump, args=(upstream, client, answered), daemon=True)
        back.start()
        _pump(client, upstream, sent)
        back.join(10)


def _pump(source: socket.socket, target: socket.socket, show: Show) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            show(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def main() -> int:
    name, *command = sys.argv[1:]
    recorded: list[Line] = []
    with running(15) as cluster, socket.create_server(("127.0.0.1", 0)) as listener:
        load_sample(cluster)

        def watch() -> tuple[Show, Show]:
            return Recorder(recorded).feed, lambda _: None

        address = ("127.0.0.1", cluster.port)
        serve = threading.Thread(target=relay, args=(listener, address, watch), daemon=True)
        serve.start()
        dsn = f"postgresql://app@127.0.0.1:{listener.getsockname()[1]}/private1"
        status = subprocess.run([dsn if part == "DSN" else part for part in command], check=False).returncode
        listener.shutdown(socket.SHUT_RDWR)
        serve.join(10)
    lines = [json.dumps(line, ensure_ascii=False) for line in recorded]
    (RECORDED / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} statements")
    return status


if __name__ == "__main__":
    sys.exit(main())
