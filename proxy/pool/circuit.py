"""Circuit: how long to leave a server alone after it refused, and what it said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.errors import ConnectionFailure, Refusal

FIRST, LONGEST = 0.1, 5.0  # seconds


class Circuit:
    """Trips for 100 ms, and twice as long after each failure up to 5 s; then `retry` is called."""

    def __init__(self, retry: Callable[[], None]) -> None:
        self.failures = 0
        self.error: Refusal = ConnectionFailure("could not connect to the server")
        self._retry = retry
        self._timer: asyncio.TimerHandle | None = None

    @property
    def delay(self) -> float:
        """Seconds until the next try after the last failure."""
        return min(LONGEST, FIRST * 2.0 ** min(self.failures - 1, 10)) if self.failures else 0.0

    def trip(self, error: Refusal) -> None:
        """A connection failed. Failures of openings that were under way together count as one."""
        self.error = error
        if self._timer is not None:
            return
        self.failures += 1
        self._timer = asyncio.get_running_loop().call_later(self.delay, self._again)

    def refusal(self) -> ConnectionFailure:
        """What those hear who ask meanwhile: the server's SQLSTATE, or 08006."""
        return ConnectionFailure(self.error.message, sqlstate=self.error.sqlstate)

    def cancel(self) -> None:
        """Forget the retry."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        self._timer = None
        self._retry()
