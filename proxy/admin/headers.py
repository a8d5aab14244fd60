"""TimedHttp: uvicorn's HTTP protocol, where the headers of each request must be whole in time.

uvicorn times only a connection on which nothing comes: one byte of a request, and it would wait for ever. What comes
later, the body, is timed by who reads it (http.py). Decides nothing about what is asked. There is no limit on how many
may come instead: whoever held that many open would make /healthz say no.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS = 5.0  # seconds from a request's first byte


class TimedHttp(H11Protocol):
    """One connection; it is cut when a request was begun and its headers do not come."""

    _alarm: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Some bytes, of whatever."""
        super().data_received(data)
        asked = self.cycle is not None and not self.cycle.response_complete
        if asked:
            self._disarm()
        elif self._alarm is None and not self.transport.is_closing():
            self._alarm = self.loop.call_later(HEADERS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """It went."""
        self._disarm()
        super().connection_lost(exc)

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
