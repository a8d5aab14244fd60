"""The counter store's decisions: tokens of buckets, permits of gauges, for several processes. Pure; one call, no wait.

fleet/stores/exchange.lua says the same for Redis, and tests run one machine over both. Promises, in any window and
whatever gets lost: tokens given are at most rate x window + burst, less what silent processes take for themselves; the
bounds of a gauge make up its limit at most.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.quota.allotment import Entry, allot
from proxy.quota.exchange import UNIT, Answer, Report, Request, Take, Terms
from proxy.quota.members import Member, Members

PRUNE = 60.0  # seconds between two looks for what may be forgotten


@dataclass(slots=True)
class Level:
    """One bucket."""

    level: float
    flow: float  # Members.flow, as of which the level is
    rate: float
    burst: float


class CounterTable:
    """Everything that is shared."""

    def __init__(self, epoch: str, now: float, terms: Terms) -> None:
        self.members = Members(epoch, now, terms)
        self.levels: dict[str, Level] = {}
        self.gauges: dict[str, dict[str, Entry]] = {}
        self.recalls: dict[str, dict[str, None]] = {}  # by member
        self._pruned = now

    def exchange(self, request: Request, now: float) -> Answer:
        """One request. now: seconds of the store's clock."""
        members = self.members
        now = members.tick(now)
        known = request.member in members.all
        member = members.hear(request, now)
        if now - self._pruned > PRUNE:
            self._prune(now)
        if member is None:
            if request.member not in members.all:
                self._forget(request.member)
            return Answer(False, members.epoch, now)
        if not known:
            self._forget(request.member)
        honoured = member.claimed or (known and request.epoch == members.epoch)
        welcome = members.welcome(member, now)
        return Answer(
            True,
            members.epoch,
            now,
            share=self._share(request, member, honoured, welcome),
            peers=len(members.all),
            granted={one.key: self._take(one) for one in request.takes},
            told={one.key: self._tell(request.member, one, honoured, welcome) for one in request.reports},
            recalled=list(self.recalls.pop(request.member, ())),
        )

    def _share(self, request: Request, member: Member, honoured: bool, welcome: bool) -> int:
        believed = request.share if honoured else 0
        entries = {name: Entry(one.share, UNIT) for name, one in self.members.all.items()}
        told = allot(entries, request.member, UNIT, believed) if welcome else believed
        member.share = max(told, believed)
        return told

    def _take(self, take: Take) -> tuple[float, float]:
        flow = self.members.flow
        found = self.levels.get(take.key)
        if found is None:  # full if it had time to be; a store that has lost its memory does not know what was used
            level = take.burst if not self.members.terms.settle else min(take.burst, take.rate * flow)
            found = self.levels[take.key] = Level(level, flow, take.rate, take.burst)
        level = min(found.burst, found.level + found.rate * (flow - found.flow))
        level = min(level, take.burst) - take.spent
        granted = min(take.want, max(0.0, level))
        self.levels[take.key] = Level(level - granted, flow, take.rate, take.burst)
        return granted, level - granted

    def _tell(self, member: str, report: Report, honoured: bool, welcome: bool) -> int:
        entries = self.gauges.setdefault(report.key, {})
        for gone in [name for name in entries if name not in self.members.all]:
            del entries[gone]
        if report.over:
            entries.pop(member, None)
            if not entries:
                del self.gauges[report.key]
            return 0
        believed = report.allotted if honoured else 0
        before = entries.get(member)
        entries[member] = Entry(0 if before is None else before.bound, report.wanted)
        told = allot(entries, member, report.limit, believed) if welcome else believed
        entries[member].bound = max(told, believed, report.held)
        if told < report.wanted:
            for name, one in entries.items():
                if name != member and (one.bound or one.wanted):
                    self.recalls.setdefault(name, {})[report.key] = None
        return told

    def _forget(self, member: str) -> None:
        """A member left, or came anew under its name: what it had is nobody's."""
        self.recalls.pop(member, None)
        for entries in self.gauges.values():
            entries.pop(member, None)

    def _prune(self, now: float) -> None:
        """Full buckets are as good as none, and gauges that nobody has."""
        self._pruned = now
        alive = self.members.all
        for key, one in list(self.levels.items()):
            if one.level + one.rate * (self.members.flow - one.flow) >= one.burst <= one.rate * self.members.flow:
                del self.levels[key]
        for key, entries in list(self.gauges.items()):
            if not any(name in alive for name in entries):
                del self.gauges[key]
        self.recalls = {name: keys for name, keys in self.recalls.items() if name in alive}
