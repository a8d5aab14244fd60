"""PartWatch: one tenant's picture of a database, kept fresh over the watch of what all tenants there share.

It asks over that watch's connection, and only when somebody asks it to: has the schema changed, or what lies below it?
Looks are single flight and at most one a second. A failed one keeps the last picture and is tried again. Decides
nothing about what anybody may see.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.catalog.flight import landed
from proxy.catalog.introspect import part_fingerprint, read_part
from proxy.catalog.layers import LayeredCatalog, Part, layered
from proxy.catalog.versions import next_version
from proxy.catalog.watch import FAILURES, CatalogWatch, WatchStatistics

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection
    from proxy.catalog.model import Catalog


class PartWatch:
    """Of one schema. `spacing` in seconds; `clock` is monotonic."""

    def __init__(
        self,
        shared: CatalogWatch,
        schema: str,
        *,
        spacing: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._schema = schema
        self._spacing = spacing
        self._clock = clock
        self._part: Part | None = None
        self._catalog: LayeredCatalog | None = None
        self._fingerprint = ""
        self._changed: Callable[[Catalog], None] = lambda catalog: None
        self._refreshing: asyncio.Task[None] | None = None
        self._closed = False
        self._last = float("-inf")
        self._checks = self._introspections = self._failures = 0
        self._error = ""

    @property
    def current(self) -> LayeredCatalog:
        """The picture as last read; RuntimeError before `start`."""
        if self._catalog is None:
            raise RuntimeError("the catalog has not been loaded")
        return self._catalog

    @property
    def schema(self) -> str:
        """Whose picture it is."""
        return self._schema

    async def catch_up(self, mark: str) -> None:
        """Returns when the schema is read as of this fingerprint or later, and what lies below it; looks at the server
        for that when it may be looked at again. Never fails: then the last picture stays.
        """
        if self._stale(mark):
            await asyncio.sleep(max(0.0, self._last + self._spacing - self._clock()))
            if self._stale(mark):  # nobody else had it read meanwhile
                await self.refresh()

    def _stale(self, mark: str) -> bool:
        return mark != self._fingerprint or self.current.shared is not self._shared.current

    def subscribe(self, callback: Callable[[Catalog], None]) -> None:
        """Call this one with every new picture."""
        self._changed = callback

    def statistics(self) -> WatchStatistics:
        """A snapshot of the counters."""
        version = 0 if self._catalog is None else self._catalog.version
        return WatchStatistics(version, self._checks, self._introspections, self._failures, self._error)

    async def start(self) -> LayeredCatalog:
        """Reads it for the first time. Errors: FAILURES."""
        await self._shared.ask(self._look)
        self._last = self._clock()
        return self.current

    def begin(self, shared: Catalog, mark: str, part: Part) -> LayeredCatalog:
        """The same of what was read already, and its fingerprint from before."""
        self._part, self._fingerprint = part, mark
        self._catalog = layered(shared, part, next_version())
        self._last = self._clock()
        return self._catalog

    async def refresh(self) -> Catalog:
        """The picture after a look at the server; within a second of the last look, the current one. Never fails."""
        if self._refreshing is None:
            if self._closed or self._clock() - self._last < self._spacing:
                return self.current
            self._refreshing = asyncio.create_task(self._refresh(), name=f"refresh {self._schema}")
        await landed(self._refreshing)  # where `close` cancelled it, the last picture stays
        return self.current

    async def close(self) -> None:
        """Ends a look that is under way; there is none any more, and the last picture stays."""
        self._closed = True
        task, self._refreshing = self._refreshing, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _refresh(self) -> None:
        try:
            await self._shared.refresh()
            await self._shared.ask(self._look)
            self._error = ""
        except FAILURES as error:
            self._failures += 1
            self._error = f"{type(error).__name__}: {error}"
        finally:
            self._last = self._clock()
            self._refreshing = None

    async def _look(self, connection: CatalogConnection) -> None:
        self._checks += 1
        shared, old = self._shared.current, self._catalog
        same = old is not None and old.shared is shared
        mark = await part_fingerprint(connection, self._schema)  # before the reading, as CatalogWatch
        if mark == self._fingerprint and same:
            return
        self._introspections += 1
        part = await read_part(connection, self._schema, shared)
        self._fingerprint = mark
        if same and part == self._part:
            return
        self._part = part
        self._catalog = layered(shared, part, next_version())
        self._changed(self._catalog)
