"""The counters of one host: StoreServer at a Unix socket, run by the supervisor, and LocalStore in each worker.

Each frame is a length of four bytes and JSON. Only the own user may connect; what is no request, or is too long, ends
the connection unheard. The server keeps nothing on disk: it lives as long as its workers do. A worker asks one thing at
a time; one that has no answer in time hangs up, so that no answer can be taken for a later one's.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct

import orjson

from proxy.quota.exchange import Answer, CounterStore, Request, StoreAway, StoreRefused

LENGTH = Struct(">I")
LONGEST = 16 << 20  # bytes of a frame
PING = LENGTH.pack(0)  # answered alike
CROWD = 128  # connections at a time
NOBODY = frozenset({errno.ECONNREFUSED, errno.ENOENT})

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _read(reader: asyncio.StreamReader) -> bytes:
    """A frame's body. OSError, EOFError; ValueError for one that is too long."""
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    if length > LONGEST:
        raise ValueError("a frame is too long")
    return await reader.readexactly(length)


def _framed(plain: object) -> bytes:
    body = orjson.dumps(plain)
    return LENGTH.pack(len(body)) + body


class StoreServer:
    """Answers the workers of one host from a store in memory."""

    def __init__(self, path: Path, store: CounterStore) -> None:
        self.path = path
        self._store = store
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def start(self) -> None:
        """Listens; takes the place of a socket that nobody listens at. OSError when somebody does."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with socket.socket(socket.AF_UNIX) as probe:
            taken = not probe.connect_ex(str(self.path))
        if taken:
            raise OSError(errno.EADDRINUSE, "another store listens there", str(self.path))
        self.path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        try:
            listening.bind(str(self.path))
            self.path.chmod(0o600)  # before anybody can connect
            self._server = await asyncio.start_unix_server(self._serve, sock=listening)
        except BaseException:
            listening.close()
            raise

    async def close(self) -> None:
        """Ends every connection."""
        if self._server is None:
            return
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        tasks = [task for task in self._open.values() if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CROWD:
            writer.transport.abort()
            return
        self._open[writer] = asyncio.current_task()
        try:
            while True:
                body = await _read(reader)
                if body:
                    answer = await self._store.exchange(Request.of(orjson.loads(body)))
                    writer.write(_framed(answer.plain()))
                else:
                    writer.write(PING)
                await writer.drain()
        except (OSError, EOFError, KeyError, TypeError, ValueError):
            writer.transport.abort()  # it went, or speaks something else
        finally:
            del self._open[writer]


class LocalStore:
    """A worker's end (quota.exchange.CounterStore)."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._streams: Streams | None = None

    async def connect(self) -> None:
        """Makes the connection, and asks whether somebody answers, unless there is one."""
        if self._streams is None:
            with self._away():
                async with asyncio.timeout(self._timeout):
                    self._streams = await asyncio.open_unix_connection(self._path)
                    await self._ask(PING)

    async def exchange(self, request: Request) -> Answer:
        """One round trip."""
        with self._away():
            async with asyncio.timeout(self._timeout):
                return Answer.of(orjson.loads(await self._ask(_framed(request.plain()))))

    async def _ask(self, frame: bytes) -> bytes:
        if self._streams is None:
            raise StoreAway("not connected")
        reader, writer = self._streams
        writer.write(frame)
        return await _read(reader)

    @contextmanager
    def _away(self) -> Iterator[None]:
        """Whatever fails ends the connection, at once: no answer is read that belongs to another request."""
        try:
            yield
        except BaseException as problem:
            streams, self._streams = self._streams, None
            if streams is not None:
                streams[1].transport.abort()
            if isinstance(problem, OSError):
                raise (StoreRefused if problem.errno in NOBODY else StoreAway)(str(problem)) from problem
            if isinstance(problem, EOFError | KeyError | TypeError | ValueError):
                raise StoreAway("the counter store hung up, or speaks something else") from problem
            raise

    async def close(self) -> None:
        """Hangs up."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with suppress(OSError):
                await streams[1].wait_closed()
