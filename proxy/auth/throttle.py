"""How long the answer to a proof waits, after others from the same place were wrong.

Two accounts are kept: of a login at an address, and of an address. Each wrong proof adds one, time takes away; beyond
a few that are free the answer waits, twice as long each time, up to CEILING. It waits whether the proof is right or
wrong, and whether the login exists or not. Who is right gets in after the wait, and no other address feels it. A login
that was right at an address before does not wait for what others do there. Only so many answers wait at a time, so that
guesses in parallel gain nothing; a proof beyond is not looked at, be it right. Memory is bounded: the account unused
for longest goes. Several processes are one: each is told what the others weighed, and has its part of the answers that
may wait. Time is an argument, in seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from proxy.auth.addresses import source

FIRST = 0.25  # seconds that the first answer waits which is not free
CEILING = 8.0
ACCOUNTS = 10_000  # of each kind
NAME = 63  # characters of a login's name that count: no login's is longer


Key = TypeVar("Key", str, tuple[str, str])


@dataclass(frozen=True, slots=True)
class Terms:
    """What an account allows. free: wrong proofs without a wait; forget: seconds until one is forgotten; waiting:
    answers that may wait at a time.
    """

    free: int
    forget: float
    waiting: int


PAIR = Terms(free=3, forget=30.0, waiting=32)
PLACE = Terms(free=30, forget=2.0, waiting=128)


@dataclass(slots=True)
class Account:
    """Wrong proofs that are not forgotten, as of `at`; answers that wait; whether a proof was right."""

    terms: Terms
    level: float = 0.0
    at: float = 0.0
    waiting: int = 0
    proved: bool = False

    def delay(self, now: float) -> float:
        """Seconds that an answer waits."""
        self.level = max(0.0, self.level - (now - self.at) / self.terms.forget)
        self.at = now
        beyond = self.level - self.terms.free
        if beyond <= -1.0:
            return 0.0
        return float(min(CEILING, FIRST * 2.0 ** min(beyond, 16.0)))


@dataclass(frozen=True, slots=True)
class Attempt:
    """A proof whose answer is to wait `delay` seconds; given back to `end` once, whatever becomes of it."""

    delay: float
    right: bool
    pair: Account
    place: Account


class Throttle:
    """The accounts of one process. delayed, refused: answers that waited, and proofs that were not looked at."""

    __slots__ = ("_pairs", "_places", "_processes", "delayed", "refused")

    def __init__(self, processes: int = 1) -> None:
        """processes: how many there are, and tell each other."""
        self._processes = processes
        self._pairs: OrderedDict[tuple[str, str], Account] = OrderedDict()
        self._places: OrderedDict[str, Account] = OrderedDict()
        self.delayed = 0
        self.refused = 0

    def weigh(self, login: str, address: str, right: bool, now: float) -> Attempt | None:
        """What this proof's answer has to wait; None: too many wait already, and the proof must not be looked at."""
        where = source(address)
        pair = _account(self._pairs, (login[:NAME], where), PAIR)
        place = _account(self._places, where, PLACE)
        delay = max(pair.delay(now), 0.0 if pair.proved else place.delay(now))
        if delay:
            if pair.waiting >= self._part(PAIR) or place.waiting >= self._part(PLACE):
                self.refused += 1
                return None
            self.delayed += 1
            pair.waiting += 1
            place.waiting += 1
        if not right:
            _failed(pair, place, now)
        return Attempt(delay, right, pair, place)

    def end(self, attempt: Attempt, answered: bool) -> bool:
        """The answer was given, or nobody is there to hear it. True when a right one is news to other processes."""
        pair = attempt.pair
        if attempt.delay:
            pair.waiting -= 1
            attempt.place.waiting -= 1
        if not answered or not attempt.right:
            return False
        news = pair.level > 0.0 or not pair.proved
        pair.level = 0.0
        pair.proved = True
        return news

    def note(self, login: str, address: str, right: bool, now: float) -> None:
        """Another process weighed a proof."""
        where = source(address)
        pair = _account(self._pairs, (login[:NAME], where), PAIR)
        if right:
            pair.level = 0.0
            pair.proved = True
        else:
            pair.delay(now)
            _failed(pair, _account(self._places, where, PLACE), now)

    def _part(self, terms: Terms) -> int:
        return max(1, terms.waiting // self._processes)


def _failed(pair: Account, place: Account, now: float) -> None:
    pair.level += 1.0
    place.delay(now)
    place.level += 1.0


def _account(accounts: OrderedDict[Key, Account], key: Key, terms: Terms) -> Account:
    found = accounts.get(key)
    if found is None:
        found = accounts[key] = Account(terms)
        if len(accounts) > ACCOUNTS:
            accounts.popitem(last=False)
    else:
        accounts.move_to_end(key)
    return found
