"""Circuits: what is left alone after it failed, for how long, and what those hear who ask meanwhile.

A server that cannot be reached, or that is not open yet, is left alone as a whole: by all tenants, databases and roles
at its addresses. Whatever else fails while a connection is made (a password, a role, a database, a setting, a limit of
connections) is left alone for the tenant that it happened to, and for nobody else. After the wait one connection is
tried, and who else asks is still refused until that one has come to something (barriers.py).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Hashable

from proxy.errors import ConnectionFailure, Refusal
from proxy.wire.handshake import HandshakeRefused

FIRST, LONGEST = 0.1, 5.0  # seconds
FORGOTTEN = 60.0  # seconds
CLOSED = ("57P01", "57P02", "57P03")  # the server is not open, to anybody


class Circuit:
    """Trips for 100 ms, and twice as long after each failure up to 5 s; then `retry` is called, which lets one try."""

    def __init__(self, retry: Callable[[], None]) -> None:
        self.failures = 0
        self.error: Refusal = ConnectionFailure("could not connect to the server")
        self.tripped = 0.0  # when, by the loop's clock
        self._retry = retry
        self._timer: asyncio.TimerHandle | None = None

    @property
    def delay(self) -> float:
        """Seconds until the next try after the last failure."""
        return min(LONGEST, FIRST * 2.0 ** min(self.failures - 1, 10)) if self.failures else 0.0

    @property
    def idle(self) -> bool:
        """Is it past its retry, so that nothing is left alone on its account?"""
        return self._timer is None

    def trip(self, error: Refusal) -> None:
        """A connection failed. Failures of openings that were under way together count as one."""
        self.error = error
        if self._timer is not None:
            return
        self.failures += 1
        loop = asyncio.get_running_loop()
        self.tripped = loop.time()
        self._timer = loop.call_later(self.delay, self._again)

    def refusal(self) -> ConnectionFailure:
        """What those hear who ask meanwhile: the server's SQLSTATE, or 08006."""
        return ConnectionFailure(self.error.message, sqlstate=self.error.sqlstate)

    def cancel(self) -> None:
        """Forget the retry."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        self._timer = None
        self._retry()


class Circuits:
    """Those that have tripped, by what is left alone: the key of a site, or of a share. `retry` is given the key."""

    def __init__(self, retry: Callable[[Hashable], None]) -> None:
        self._retry = retry
        self._tripped: dict[Hashable, Circuit] = {}

    def __len__(self) -> int:
        return len(self._tripped)

    def trip(self, key: Hashable, error: Refusal) -> None:
        """It failed."""
        circuit = self._tripped.get(key)
        if circuit is None:
            circuit = self._tripped[key] = Circuit(lambda: self._retry(key))
        circuit.trip(error)

    def mend(self, key: Hashable) -> bool:
        """It went well. Was anything left alone?"""
        circuit = self._tripped.pop(key, None)
        if circuit is None:
            return False
        circuit.cancel()
        return True

    def refusal(self, key: Hashable) -> ConnectionFailure:
        """What those hear who ask while it is left alone, or tried by another."""
        circuit = self._tripped.get(key)
        return ConnectionFailure("could not connect to the server") if circuit is None else circuit.refusal()

    def forget(self) -> list[Hashable]:
        """Drops those that have not failed for a minute: nobody tries any more. Their keys."""
        now = asyncio.get_running_loop().time()
        old = [key for key, one in self._tripped.items() if one.idle and now - one.tripped > FORGOTTEN]
        for key in old:
            del self._tripped[key]
        return old

    def cancel(self) -> None:
        """Forget every retry."""
        for circuit in self._tripped.values():
            circuit.cancel()


def is_everybodys(error: BaseException) -> bool:
    """Is a failure to connect that of the server, and not of who logged in there, and how?"""
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, HandshakeRefused):
        return cause.response.fields.get("C", "") in CLOSED
    return isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError)  # a TimeoutError is an OSError
