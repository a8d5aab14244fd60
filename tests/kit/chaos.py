"""A TCP proxy that troubles connections on purpose: cuts them after a number of bytes in either direction or all at
once, delays what passes, or passes it in pieces of any size.

It runs its own event loop in a thread, so that tests stay plain code. Nothing is changed, reordered or repeated.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Chaos:
    """Listens on `port` and connects each client to the target."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.accepted = 0
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._budget: int | None = None
        self._piece = 65536
        self._delay = 0.0
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def cut_after(self, count: int | None) -> None:
        """The next `count` bytes, of whatever connections and directions, pass; then everything is cut once. None:
        never.
        """
        self._loop.call_soon_threadsafe(setattr, self, "_budget", count)

    def cut_now(self) -> None:
        """Every connection is cut."""
        self._loop.call_soon_threadsafe(self._cut)

    def trouble(self, piece: int = 65536, delay: float = 0.0) -> None:
        """From now on at most `piece` bytes pass at once, in packets of their own, `delay` seconds after they came."""
        self._loop.call_soon_threadsafe(self._trouble, piece, delay)

    def _trouble(self, piece: int, delay: float) -> None:
        self._piece, self._delay = piece, delay

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        self._cut()
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _cut(self) -> None:
        self._budget = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        self._writers |= pair
        for one in pair:
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer))
                group.create_task(self._pump(far_reader, writer))
        finally:
            self._writers -= pair
            for one in pair:
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self._budget is not None and len(data) >= self._budget:
                    writer.write(data[: self._budget])
                    self._cut()
                    return
                if self._budget is not None:
                    self._budget -= len(data)
                for at in range(0, len(data), self._piece):
                    await asyncio.sleep(self._delay)  # 0: only lets the other direction pass
                    writer.write(data[at : at + self._piece])
                    await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            writer.transport.abort()


@contextmanager
def chaos_before(target_port: int) -> Iterator[Chaos]:
    """A breaking proxy in front of a local port."""
    chaos = Chaos(target_port)
    chaos.start()
    try:
        yield chaos
    finally:
        chaos.stop()
