"""Gate: who may even begin. Rations new connections and TLS handshakes, and shuts when the process is short of memory.

Each ration is a bucket that fills at its rate and holds BURST seconds' worth; one for the whole process, and one for
each address (of IPv6, each network of 64 bits), so that one peer cannot take what is everybody's. A TLS handshake costs
as much as HANDSHAKE connections. Who is let in has its address' part given back, for an application's host may be that
of many tenants: it counts for its tenant instead (sharing.py). Not so once the whole ration is half used: then each
address is held to its own, or a few tenants at one could lock out whoever comes from another. Refusing makes no session
and writes no line of its own: `refused` counts by reason.
Times are seconds of `clock`, sizes bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from proxy.auth.addresses import source
from proxy.errors import Refusal, TooManyConnections

BURST = 10.0  # seconds
HANDSHAKE = 4.0
SPARE = 0.5  # of the whole ration that must be left for an address to have its part given back
ADDRESSES = 10_000  # kept at most; one that is forgotten begins anew, and the whole ration still binds it


def cost(tls: bool) -> float:
    """Of a connection that has come as far as to log in."""
    return 1.0 + HANDSHAKE if tls else 1.0


@dataclass(slots=True)
class Bucket:
    """What is left of a ration, and when that was so."""

    level: float
    at: float

    def take(self, amount: float, rate: float, now: float) -> bool:
        """Takes `amount` if it is there."""
        self.level = min(rate * BURST, self.level + (now - self.at) * rate)
        self.at = now
        if self.level < amount:
            return False
        self.level -= amount
        return True


class OutOfMemory(Refusal):
    """The process is at its ceiling of memory."""

    sqlstate = "53200"
    severity = "FATAL"


class Gate:
    """Admits connections. rates: per second, of the process and of each address. memory_limit: bytes; 0: none."""

    def __init__(
        self,
        rate: float,
        address_rate: float,
        memory_limit: int,
        clock: Callable[[], float],
        resident: Callable[[], int],
    ) -> None:
        self._rate = rate
        self._address_rate = address_rate
        self._memory_limit = memory_limit
        self._clock = clock
        self._resident = resident
        self._all = Bucket(rate * BURST, clock())
        self._addresses: OrderedDict[str, Bucket] = OrderedDict()
        self.short = False  # of memory, when it was measured last
        self.refused: dict[str, int] = {"rate": 0, "memory": 0, "handshake": 0}

    def measure(self) -> bool:
        """Looks at the memory; to be called every now and then, for the kernel is asked. True: `short` has changed."""
        before, self.short = self.short, 0 < self._memory_limit <= self._resident()
        return self.short is not before

    def enter(self, address: str) -> Refusal | None:
        """May a connection from there begin? "" is an address like any other: that of who has none."""
        if self.short:
            self.refused["memory"] += 1
            return OutOfMemory(
                "out of memory", detail="The proxy is at its memory_limit.", hint="Try again later, or raise it."
            )
        if not self._take(address, 1.0):
            self.refused["rate"] += 1
            return TooManyConnections(
                "too many new connections", hint="Keep connections open, or have connection_rate raised."
            )
        return None

    def give_back(self, address: str, tls: bool) -> None:
        """Who came from there is let in. The whole ration still counts it, and gives nothing back beyond its half."""
        self._all.take(0.0, self._rate, self._clock())
        bucket = self._addresses.get(source(address))
        if bucket is not None and self._all.level >= SPARE * self._rate * BURST:
            bucket.level = min(self._address_rate * BURST, bucket.level + cost(tls))

    def handshake(self, address: str) -> bool:
        """May a TLS handshake with it begin?"""
        if self._take(address, HANDSHAKE):
            return True
        self.refused["handshake"] += 1
        return False

    def _take(self, address: str, amount: float) -> bool:
        now = self._clock()
        network = source(address)
        bucket = self._addresses.get(network)
        if bucket is None:
            bucket = self._addresses[network] = Bucket(self._address_rate * BURST, now)
            if len(self._addresses) > ADDRESSES:
                self._addresses.popitem(last=False)
        else:
            self._addresses.move_to_end(network)
        return bucket.take(amount, self._address_rate, now) and self._all.take(amount, self._rate, now)
