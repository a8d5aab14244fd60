"""Verifiers that a server keeps: asked for at once for all logins that the rules give it, again and again.

Not login by login: whoever asks at the door gets an answer from memory, so that neither the time it takes nor the load
at the server tells whether a login exists. The query gets the names as its one parameter and returns rows of name and
verifier; whatever else it returns counts for nothing. What was told last holds for KEEP seconds when the server is
away, and then for nothing: fail closed. Times in seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxy.auth.scram import Verifier, parse_verifier
from proxy.catalog.connect import ServerAddress, ServerCredentials, connect
from proxy.catalog.watch import FAILURES
from proxy.errors import ConfigurationError

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

INTERVAL = 10.0
SPACING = 1.0  # between two looks, however often somebody asks for one
KEEP = 60.0
SLICE = 1000  # rows; some 5 ms
PATIENCE = 5.0  # for one answer


@dataclass(frozen=True, slots=True)
class VerifierStatistics:
    """Looks since the start, those that failed, and of how many logins a verifier is known."""

    looks: int
    failures: int
    known: int


class VerifierQuery:
    """One query at one server, for these logins."""

    def __init__(
        self,
        server: ServerAddress,
        credentials: ServerCredentials,
        query: str,
        names: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._credentials = credentials
        self._query = query
        self._names = sorted(names)
        self._wanted = frozenset(names)
        self._clock = clock
        self._known: Mapping[str, Verifier] = {}
        self._told = 0.0  # when
        self._looks = self._failures = 0
        self._connection: CatalogConnection | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def verifier(self, name: str) -> Verifier | None:
        """What a login's password is checked against; None: it has none. What was told too long ago lets nobody in."""
        found = self._known.get(name)
        if found is not None and self._clock() - self._told > KEEP:
            return replace(found, mock=True)
        return found

    def hurry(self) -> None:
        """Look again soon: a password may have changed."""
        self._wake.set()

    async def start(self) -> None:
        """The first look; then again and again. Errors: catalog.watch.FAILURES."""
        try:
            await self._look()
        except BaseException:
            await self.close()
            raise
        self._task = asyncio.create_task(self._run(), name="auth_query")

    async def close(self) -> None:
        """Ends it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._hang_up()

    def statistics(self) -> VerifierStatistics:
        """A snapshot."""
        fresh = self._clock() - self._told <= KEEP
        return VerifierStatistics(self._looks, self._failures, len(self._known) if fresh else 0)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SPACING)
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL - SPACING):
                    await self._wake.wait()
            self._wake.clear()
            with suppress(*FAILURES):  # counted; what is known grows old
                await self._look()

    async def _look(self) -> None:
        self._looks += 1
        try:
            if self._connection is None:
                self._connection = await connect(self._server, self._credentials)
            rows = await self._connection.fetch(self._query, self._names, timeout=PATIENCE)
            self._known = await _known([tuple(row.values()) for row in rows], self._wanted)
            self._told = self._clock()
        except BaseException:
            self._failures += 1
            await self._hang_up()
            raise

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


async def _known(rows: Sequence[tuple[object, ...]], names: frozenset[str]) -> Mapping[str, Verifier]:
    """The verifiers in an answer; ten thousand would hold everybody up for 50 ms, so others have their turn meanwhile.
    A login with two rows has none: which of them is meant nobody knows.
    """
    found: dict[str, Verifier | None] = {}
    for begin in range(0, len(rows), SLICE):
        _take(rows[begin : begin + SLICE], names, found)
        await asyncio.sleep(0)
    return {name: one for name, one in found.items() if one is not None}


def _take(rows: Sequence[tuple[object, ...]], names: frozenset[str], found: dict[str, Verifier | None]) -> None:
    for row in rows:
        if len(row) != 2:
            raise ConfigurationError(["auth_query must return two columns: name and verifier"])
        name, text = row
        if not isinstance(name, str) or not isinstance(text, str) or name not in names:
            continue
        try:
            verifier = parse_verifier(text)
        except ValueError:
            continue
        found[name] = None if name in found else verifier
