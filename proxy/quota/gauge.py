"""Gauges: how many at one time. Whoever was let in leaves exactly once; the gauge is told, and does not watch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

Line = deque[Callable[[], object]]
"""Who waits for a limit, in order; each is called when its turn may have come."""


class Gauge(Protocol):
    """One limit of one budget. Exact and local here; permits where several processes share it."""

    limit: int
    line: Line

    @property
    def held(self) -> int:
        """How many are in."""

    def enter(self) -> bool:
        """False: it is full, and nobody was let in."""

    def leave(self) -> None:
        """One that was let in is out again."""


class CountingGauge:
    """The exact one."""

    __slots__ = ("held", "limit", "line")

    def __init__(self, limit: int) -> None:
        self.limit = limit  # may be lowered below what is held: then nobody comes in until enough have left
        self.held = 0
        self.line: Line = deque()

    def enter(self) -> bool:
        """As Gauge."""
        if self.held < self.limit:
            self.held += 1
            return True
        return False

    def leave(self) -> None:
        """As Gauge. ValueError when nobody is in."""
        held = self.held - 1
        if held < 0:
            raise ValueError("nobody is in")
        self.held = held
        if self.line:
            self.line.popleft()()
