"""Overstay: who holds a server connection longer than the tenant's limits allow, and what it is told.

Looked at from time to time, so that nothing is paid per statement: a timeout is met within one more look.
Source: PostgreSQL documentation, "idle_in_transaction_session_timeout", "transaction_timeout".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import Refusal

if TYPE_CHECKING:
    from proxy.session.session import ClientSession


class Overstay:
    """The clocks of one session. Times are of any monotonic clock, in seconds."""

    __slots__ = ("_block", "_quiet")

    def __init__(self) -> None:
        self.rest()

    def rest(self) -> None:
        """The session holds nothing."""
        self._quiet: tuple[int, float] = (-1, 0.0)  # turns, and when they were seen first
        self._block: tuple[object, int, float] = (None, 0, 0.0)  # which transaction on which lease, likewise

    def refusal(self, session: ClientSession, now: float) -> Refusal | None:
        """Why it must end now; None while it may go on."""
        limits = session.limits
        if limits.idle_in_transaction_timeout is not None:
            if not session.in_transaction:
                self._quiet = (-1, 0.0)
            elif self._quiet[0] != session.turns:
                self._quiet = (session.turns, now)
            elif now - self._quiet[1] >= limits.idle_in_transaction_timeout:
                return Refusal("terminating connection due to idle-in-transaction timeout", sqlstate="25P03")
        if limits.transaction_timeout is not None:
            lease, ended, since = self._block
            if lease is not session.lease or ended != session.settings.ended:
                self._block = (session.lease, session.settings.ended, now)
            elif now - since >= limits.transaction_timeout:
                return Refusal("terminating connection due to transaction timeout", sqlstate="25P04")
        return None
