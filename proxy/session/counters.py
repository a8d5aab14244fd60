"""Counters of one login's traffic: plain ints on the object that counts; metrics and the journal read, and never write.

Latency buckets are those of the histogram that metrics export: seconds from the statement's arrival to ReadyForQuery.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from proxy.quota.usage import Usage

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class TrafficStatistics:
    """A snapshot of the counters of one tenant's logins together. Times in seconds."""

    statements: Mapping[tuple[str, str], int]  # (kind, verdict) -> count
    rewritten: int
    plans: Mapping[str, int]  # lookups in the plan cache by result: l1, l2, miss
    connections: int
    sessions: int
    bytes_in: int
    bytes_out: int
    rows: int  # to clients
    listening: int  # sessions that listen now
    pinned: Mapping[str, int]  # reason -> sessions that keep their server connection for it now
    buckets: tuple[int, ...]  # one more than BUCKETS: the last is +Inf
    seconds: float
    server: float  # the server had something to do
    waited: float  # clients waited for a server connection
    refused: int  # by a quota
    quota_refusals: Mapping[str, int]  # limit -> statements, of those limits that no meter counts
    quota_warnings: Mapping[str, int]


class Counters:
    """Mutable by the sessions of one login of one tenant. Times in seconds."""

    __slots__ = (
        "answered", "buckets", "bytes_in", "bytes_out", "connections", "forwarded", "listening", "pinned", "plans",
        "quota_refusals", "quota_warnings", "refused", "rejected", "rewritten", "rows", "seconds", "server",
        "sessions", "waited",
    )  # fmt: skip

    def __init__(self) -> None:
        self.forwarded: dict[str, int] = {}  # by statement kind, which is a string
        self.answered: dict[str, int] = {}
        self.rejected: dict[str, int] = {}
        self.rewritten = 0
        self.plans = {"l1": 0, "l2": 0, "miss": 0}
        self.connections = 0  # open now
        self.sessions = 0  # ever
        self.bytes_in = 0  # from clients
        self.bytes_out = 0  # to clients
        self.rows = 0  # to clients: DataRows, and CopyData of COPY TO
        self.listening = 0
        self.pinned: dict[str, int] = {}
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.server = 0.0  # the server had something to do: from what was sent to it until nothing of it was due
        self.waited = 0.0  # for a server connection
        self.refused = 0  # by a quota
        self.quota_refusals: dict[str, int] = {}  # by limit, of those that no meter counts
        self.quota_warnings: dict[str, int] = {}

    def observe(self, seconds: float) -> None:
        """A statement or pipeline took this long."""
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    def mark(self) -> tuple[int, int, float, float]:
        """Equal as long as nothing is used; whatever is counted comes with bytes or takes time."""
        return self.bytes_in, self.bytes_out, self.server, self.waited

    def usage(self) -> Usage:
        """What is billed."""
        return Usage(
            sum(self.forwarded.values()) + sum(self.answered.values()),
            self.rows,
            self.bytes_in,
            self.bytes_out,
            int(self.server * 1000),
            int(self.waited * 1000),
            sum(self.rejected.values()) + self.refused,
        )

    def add(self, other: Counters) -> None:
        """The other's figures on top of these."""
        for name in self.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                for key, count in theirs.items():
                    mine[key] = mine.get(key, 0) + count
            elif isinstance(mine, list):
                mine[:] = [one + another for one, another in zip(mine, theirs, strict=True)]
            else:
                setattr(self, name, mine + theirs)

    def statistics(self) -> TrafficStatistics:
        """A frozen copy."""
        statements = {}
        for verdict, counts in (("forward", self.forwarded), ("answer", self.answered), ("reject", self.rejected)):
            for kind, count in counts.items():
                statements[kind, verdict] = count
        return TrafficStatistics(
            statements,
            self.rewritten,
            dict(self.plans),
            self.connections,
            self.sessions,
            self.bytes_in,
            self.bytes_out,
            self.rows,
            self.listening,
            dict(self.pinned),
            tuple(self.buckets),
            self.seconds,
            self.server,
            self.waited,
            self.refused,
            dict(self.quota_refusals),
            dict(self.quota_warnings),
        )
