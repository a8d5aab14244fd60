"""MemoryStore: the counters of one process in its own memory. What the local socket's server has behind it, too."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from proxy.quota.exchange import Answer, Request, Terms
from proxy.quota.table import CounterTable


class MemoryStore:
    """A counter store (quota.exchange.CounterStore) that is never away."""

    def __init__(self, terms: Terms, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._table = CounterTable(secrets.token_hex(8), clock(), terms)

    async def connect(self) -> None:
        """It is here."""

    async def exchange(self, request: Request) -> Answer:
        """One exchange."""
        return self._table.exchange(request, self._clock())

    async def close(self) -> None:
        """Nothing to end."""
