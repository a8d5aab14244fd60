"""Lifecycle: signals, and the order in which things end.

SIGHUP calls the reload it was given; SIGTERM and SIGINT drain: no new clients, idle sessions end with 57P01,
transactions finish, and after `drain_timeout` whatever is left is closed. A second signal does not wait.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence

from proxy.server.listener import Listener
from proxy.server.services import Log


class Lifecycle:
    """The life of one process."""

    def __init__(self, listener: Listener, reload: Callable[[], Awaitable[Sequence[str]]], log: Log) -> None:
        """reload: what keeps the new rules from being taken; nothing when they are."""
        self._listener = listener
        self._reload = reload
        self._log = log
        self.on_drain: Callable[[], object] | None = None  # called when it begins
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()  # did every session by itself?

    def install(self) -> None:
        """Takes the signals of this process."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, self.stop)

    def uninstall(self) -> None:
        """Gives the signals back."""
        loop = asyncio.get_running_loop()
        for one in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(one)

    def reload(self) -> None:
        """Reads the rules again; errors are the reload's to report."""
        self._listener.tasks.start(self.reloaded(), "reload")

    async def reloaded(self) -> Sequence[str]:
        """The same; what kept the new rules from being taken."""
        problems = await self._reload()
        self._listener.forget_templates()
        return problems

    def stop(self) -> None:
        """Begins to drain; the second time, ends at once."""
        if self._stop.is_set():
            self._at_once.set()
        self._stop.set()

    async def run(self) -> bool:
        """Waits for the end, drains, closes. True when every session ended by itself."""
        await self._stop.wait()
        if self.on_drain is not None:
            self.on_drain()
        self._log.info("draining", clients=len(self._listener.clients))
        drain = asyncio.ensure_future(self._listener.drain(self._listener.services.options.drain_timeout))
        hurry = asyncio.ensure_future(self._at_once.wait())
        await asyncio.wait({drain, hurry}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        whole = drain.done() and drain.result()
        drain.cancel()
        await asyncio.gather(drain, hurry, return_exceptions=True)
        await self._listener.close()
        self._log.info("drained", whole=whole)
        self.ended.set_result(whole)
        return whole
