"""Lifecycle: signals, and the order in which things end.

SIGHUP calls the reload it was given; SIGTERM and SIGINT drain: no new clients, idle sessions end with 57P01,
transactions finish, and after `drain_timeout` whatever is left is closed. A second signal does not wait, and SIGQUIT
does not either: two of one kind that come before either was heard are one to the kernel.
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
        self._taken: tuple[signal.Signals, ...] = ()
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()  # did every session by itself?

    def install(self, interrupt: bool = True) -> None:
        """Takes the signals of this process. interrupt: SIGINT too, which a terminal sends to all its processes."""
        loop = asyncio.get_running_loop()
        acts = {signal.SIGHUP: self.reload, signal.SIGTERM: self.stop, signal.SIGQUIT: self.stop_at_once}
        if interrupt:
            acts[signal.SIGINT] = self.stop
        for number, act in acts.items():
            loop.add_signal_handler(number, act)
        self._taken = tuple(acts)

    def uninstall(self) -> None:
        """Gives the signals back."""
        for one in self._taken:
            asyncio.get_running_loop().remove_signal_handler(one)

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

    def stop_at_once(self) -> None:
        """Ends without a drain."""
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
