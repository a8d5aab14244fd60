"""What a process and the counter store say to each other: one request, one answer, for all keys that need something.

Plain values with a plain form for the wire. A request is numbered and may be too late: the store does nothing for one
that comes after a later one or after `until`. Times in answers are the store's own, in seconds. Amounts are floats,
permits and parts of UNIT whole numbers. Keys are texts that begin with the tenant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from proxy.quota.rationing import Key

UNIT = 1_000_000
"""The whole of every rate; a process's share of it is what it may go on with when the store is away."""


def key_text(key: Key) -> str:
    """The key as one text: no two keys have the same, and a tenant's begin with it and a slash."""
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in key)


@dataclass(frozen=True, slots=True)
class Terms:
    """The times that a store and its processes agree on, in seconds.

    permit_ttl: of silence until a process's permits are given to others. quiet: of silence until the store counts a
    process's share as used by it alone. settle: until a new process is given anything, so that the others know of it.
    empty: until a store without memory, which nobody tells of an earlier one, believes that nobody holds anything; less
    than permit_ttl is a guess. Both are 0 where the store cannot lose its memory without its processes.
    """

    permit_ttl: float = 60.0
    quiet: float = 0.5
    settle: float = 0.0
    empty: float = 0.0
    timeout: float = 1.0  # for an answer

    @property
    def alone(self) -> float:
        """After a request without an answer, until the process counts on its share; 5 % for clocks that differ."""
        return (self.timeout + self.quiet) * 1.05

    @property
    def fence(self) -> float:
        """After the last request with an answer, until a process must have given everything up."""
        return self.permit_ttl * 0.8


@dataclass(frozen=True, slots=True)
class Take:
    """Up to `want` of a bucket, after `spent` was used without asking. The bucket has this rate and burst from now."""

    key: str
    rate: float
    burst: float
    want: float
    spent: float


@dataclass(frozen=True, slots=True)
class Report:
    """One gauge as a process has it: its limit, what it believes it may hold, holds, and has use for."""

    key: str
    limit: int
    allotted: int
    held: int
    wanted: int

    @property
    def over(self) -> bool:
        """The process needs this gauge no more."""
        return not (self.allotted or self.held or self.wanted)


@dataclass(frozen=True, slots=True)
class Request:
    """From a process. epoch: of the answer that its beliefs come from, "" when it has none. whole: every gauge that it
    has is reported; so it must be when the store does not know the process and the process knew a store."""

    member: str
    number: int
    epoch: str = ""
    until: float | None = None
    share: int = 0
    peers: int = 0
    ttl: float = 60.0
    takes: Sequence[Take] = ()
    reports: Sequence[Report] = ()
    whole: bool = False
    leave: bool = False

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "member": self.member,
            "number": self.number,
            "epoch": self.epoch,
            "until": self.until,
            "share": self.share,
            "peers": self.peers,
            "ttl": self.ttl,
            "whole": self.whole,
            "leave": self.leave,
            "takes": [[one.key, one.rate, one.burst, one.want, one.spent] for one in self.takes],
            "reports": [[one.key, one.limit, one.allotted, one.held, one.wanted] for one in self.reports],
        }

    @staticmethod
    def of(plain: Mapping[str, Any]) -> Request:
        """From JSON. KeyError, TypeError or ValueError for what is no request."""
        until = plain["until"]
        return Request(
            member=str(plain["member"]),
            number=int(plain["number"]),
            epoch=str(plain["epoch"]),
            until=None if until is None else float(until),
            share=int(plain["share"]),
            peers=int(plain["peers"]),
            ttl=float(plain["ttl"]),
            whole=bool(plain["whole"]),
            leave=bool(plain["leave"]),
            takes=[Take(str(key), *(float(number) for number in rest)) for key, *rest in plain["takes"]],
            reports=[Report(str(key), *(int(number) for number in rest)) for key, *rest in plain["reports"]],
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """From the store. heard: False when the request came too late, or had to be whole; then nothing was done.

    granted: by key what was given of a bucket, and what is left in it (below 0: a debt). told: by key what the process
    may hold from now on. recalled: gauges of which others want more: to be reported, whatever they are.
    """

    heard: bool
    epoch: str
    time: float
    share: int = 0
    peers: int = 0
    granted: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    told: Mapping[str, int] = field(default_factory=dict)
    recalled: Sequence[str] = ()

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "heard": self.heard,
            "epoch": self.epoch,
            "time": repr(self.time),
            "share": self.share,
            "peers": self.peers,
            "granted": [[key, repr(got), repr(left)] for key, (got, left) in self.granted.items()],
            "told": [[key, count] for key, count in self.told.items()],
            "recalled": list(self.recalled),
        }

    @staticmethod
    def of(plain: Mapping[str, Any]) -> Answer:
        """From JSON; a Lua script has no empty lists but empty objects. KeyError, TypeError or ValueError else."""
        return Answer(
            heard=bool(plain["heard"]),
            epoch=str(plain["epoch"]),
            time=float(plain["time"]),
            share=int(plain["share"]),
            peers=int(plain["peers"]),
            granted={str(key): (float(got), float(left)) for key, got, left in plain["granted"]},
            told={str(key): int(count) for key, count in plain["told"]},
            recalled=[str(key) for key in plain["recalled"]],
        )


class CounterStore(Protocol):
    """Where processes share their counters: in memory, at a local socket, or in Redis (fleet/stores)."""

    async def connect(self) -> None:
        """Returns when somebody answers there; at once while the connection is open. StoreRefused when nobody listens
        where the store was; StoreAway for any other failure."""

    async def exchange(self, request: Request) -> Answer:
        """One round trip, after connect(). StoreAway when there is no answer: then the request may or may not have been
        heard, and no answer to it will ever come."""

    async def close(self) -> None:
        """Ends the connection, if there is one."""


class StoreAway(Exception):
    """The store gave no answer that counts."""


class StoreRefused(StoreAway):
    """Nobody listens where the store was: it is down for everybody."""
