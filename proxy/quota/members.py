"""Members: who shares the counters, by when each was last heard, and how much of every rate flows into the store.

Each member has a share of every rate. While it is heard its share fills the common buckets; when it falls silent it
uses its share itself, and the common ones fill slower. So no part of a rate is ever given out twice. A store without
memory begins an epoch: until those of the last one have told what they hold, or can hold nothing any more, nothing is
given to anybody. Time in which nobody was heard makes nobody dead. Pure: time is an argument, of the store's clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.quota.exchange import UNIT, Request, Terms


@dataclass(slots=True)
class Member:
    """One process."""

    joined: float
    number: int = 0  # of its last request
    last: float = 0.0  # when it was last heard
    heard: float = 0.0  # the same, of the clock that runs only while anybody is heard
    share: int = 0  # at most so much does it believe to have
    ttl: float = 60.0
    claimed: bool = False  # came from an epoch before this


class Members:
    """All processes of one epoch."""

    def __init__(self, epoch: str, now: float, terms: Terms) -> None:
        self.epoch = epoch
        self.terms = terms
        self.born = now
        self.at = now
        self.flow = 0.0  # seconds for which every rate has flowed into the store, in all
        self.heard = 0.0  # seconds in which anybody was heard
        self.all: dict[str, Member] = {}
        self.claimers = 0
        self.expected = 0  # members of the last epoch, as far as anybody told
        self.ttl = 0.0  # the longest of those who claimed
        self._open = False

    def tick(self, now: float) -> float:
        """Time goes on; a clock that goes back stands still. The store's time."""
        now = max(now, self.at)
        for one in self.all.values():
            spoken = min(now, one.last + self.terms.quiet) - self.at
            if spoken > 0:
                self.flow += spoken * one.share / UNIT
        self.heard += min(now - self.at, self.terms.quiet)
        self.at = now
        for name in [name for name, one in self.all.items() if self.heard - one.heard > one.ttl]:
            del self.all[name]
        return now

    def open(self, now: float) -> bool:
        """May anything new be given to anybody? Not while somebody of the last epoch may hold it."""
        if not self._open:
            if self.claimers:
                self._open = self.claimers >= self.expected or now >= self.born + self.ttl
            else:
                self._open = now >= self.born + max(self.terms.settle, self.terms.empty)
        return self._open

    def hear(self, request: Request, now: float) -> Member | None:
        """A request, after tick(). None when it is too late or should be whole, and when the member leaves."""
        member = self.all.get(request.member)
        late = request.until is not None and now > request.until
        if late or (request.number <= member.number if member else request.epoch and not request.whole):
            return None
        if request.leave:
            self.all.pop(request.member, None)
            return None
        if member is None:
            member = self.all[request.member] = Member(joined=now, ttl=request.ttl)
            if request.epoch not in {"", self.epoch} and not self.open(now):
                member.claimed = True
                member.share = request.share
                self.claimers += 1
                self.expected = max(self.expected, request.peers)
                self.ttl = max(self.ttl, request.ttl)
        member.number, member.last, member.heard, member.ttl = request.number, now, self.heard, request.ttl
        return member

    def welcome(self, member: Member, now: float) -> bool:
        """May it be given more than it has? A new one must be known to the others first."""
        return self.open(now) and (member.claimed or now >= member.joined + self.terms.settle)
