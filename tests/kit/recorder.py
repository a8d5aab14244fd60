"""A relay that keeps what a driver and a real server say to each other, for replay.py to say it again without sockets.

How a driver gets its recording: give it a script in tests/drivers/record.py (`SCRIPTS`: a name, and what to run against
a host and port), run `python -m tests.drivers.record NAME`, and commit tests/drivers/recorded/NAME.jsonl. One line is
one read: ["client" or "server", its bytes as base64]. The log-in is left out, for the session under replay has its own.
A recording holds at most LIMIT bytes, the begin of a longer session; tests/drivers/test_recorded.py replays every file
in the folder.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

LIMIT = 65_536
CLIENT, SERVER = "client", "server"
Chunk = tuple[str, bytes]


@dataclass(slots=True)
class Recording:
    """What one connection carried, read by read."""

    chunks: list[Chunk] = field(default_factory=list)

    def said(self, by: str) -> bytes:
        """Everything that one side said."""
        return b"".join(data for who, data in self.chunks if who == by)

    def without_log_in(self) -> Recording:
        """What came behind the first ReadyForQuery."""
        said = self.said(SERVER)
        end = 0
        while said[end : end + 1] not in {b"Z", b""}:
            end += 1 + int.from_bytes(said[end + 1 : end + 5], "big")
        left = end + 6
        chunks: list[Chunk] = []
        for who, data in self.chunks:
            if left > 0 and who == SERVER:
                rest = data[left:]
                left -= len(data)
                if rest:
                    chunks.append((who, rest))
            elif left <= 0:
                chunks.append((who, data))
        return Recording(chunks)

    def begun(self, limit: int = LIMIT) -> Recording:
        """As much as `limit` allows, up to where the client spoke next."""
        size = kept = 0
        for place, (who, data) in enumerate(self.chunks):
            if who == CLIENT:
                kept = place
            size += len(data)
            if size > limit:
                return Recording(self.chunks[:kept])
        return self

    def save(self, path: Path) -> None:
        """Writes the file."""
        lines = [json.dumps([who, base64.b64encode(data).decode()]) for who, data in self.chunks]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Recording:
        """The recording in a file."""
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return cls([(who, base64.b64decode(data)) for who, data in lines])


class Recorder:
    """Listens on `port`, connects to the target, and keeps each connection's recording."""

    def __init__(self, target_port: int) -> None:
        self.recordings: list[Recording] = []
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def accept(self) -> None:
        """Serves until the listening socket is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target_port))
                recording = Recording()
                self.recordings.append(recording)
                for who, source, target in ((CLIENT, client, server), (SERVER, server, client)):
                    threading.Thread(target=_pump, args=(who, source, target, recording), daemon=True).start()

    def close(self) -> None:
        """Nobody can connect any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _pump(who: str, source: socket.socket, target: socket.socket, recording: Recording) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            recording.chunks.append((who, data))  # before it is passed on: the answer comes behind it
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def recording_before(target_port: int) -> Iterator[Recorder]:
    """A recorder in front of a local port."""
    recorder = Recorder(target_port)
    thread = threading.Thread(target=recorder.accept, daemon=True)
    thread.start()
    try:
        yield recorder
    finally:
        recorder.close()
        thread.join(10)
