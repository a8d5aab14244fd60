"""Pending: what was counted and is not known to be in the journal. Pure: totals come in, numbered batches go out.

A batch stays as it is, number and all, until it is known to be written, however often it is tried: the journal takes
a number once. What is counted meanwhile waits for the next. No hour's figures are dropped when nothing can be written;
beyond `limit` rows the hours that wait become one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from proxy.quota.usage import NOTHING, Usage

LIMIT = 50_000
Row = tuple[int, str, str]
"""Hour, tenant, login."""


class Batch(NamedTuple):
    """Differences that are written together or not at all."""

    number: int
    taken: float  # when its totals were read, seconds since the epoch
    rows: Mapping[Row, Usage]


class Pending:
    """Of one process."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._seen: dict[tuple[str, str], Usage] = {}  # totals that are in a batch or wait
        self._waiting: dict[Row, Usage] = {}
        self._taken = 0.0
        self._number = 0
        self._batch: Batch | None = None

    def take(self, totals: Iterable[tuple[str, str, Usage]], hour: int, now: float) -> None:
        """The totals of logins as they are now, or later than `now`; what is new in them belongs to this hour."""
        for tenant, login, total in totals:
            before = self._seen.get((tenant, login))
            if total != before:
                self._seen[tenant, login] = total
                self._add((hour, tenant, login), total if before is None else total.minus(before))
        self._taken = now
        if len(self._waiting) > self._limit:
            self._fold(hour)

    def batch(self) -> Batch | None:
        """What is to be written; the same until it is written. None: everything is."""
        if self._batch is None and self._waiting:
            self._number += 1
            self._batch = Batch(self._number, self._taken, self._waiting)
            self._waiting = {}
        return self._batch

    def written(self) -> None:
        """The journal has the batch."""
        self._batch = None

    def forget(self, tenant: str, login: str) -> None:
        """A login whose totals are written, and will not go on."""
        self._seen.pop((tenant, login), None)

    def rest(self) -> dict[Row, Usage]:
        """Everything that is not known to be written."""
        found = dict(self._batch.rows) if self._batch is not None else {}
        for row, usage in self._waiting.items():
            found[row] = found.get(row, NOTHING).plus(usage)
        return found

    def _add(self, row: Row, usage: Usage) -> None:
        before = self._waiting.get(row)
        self._waiting[row] = usage if before is None else before.plus(usage)

    def _fold(self, hour: int) -> None:
        rows, self._waiting = self._waiting, {}
        for (_, tenant, login), usage in rows.items():
            self._add((hour, tenant, login), usage)
