"""Cancel keys: a process id of the proxy's own for every session, and whom a key belongs to.

The process id has 31 bits: 6 for the host, 5 for the worker, 20 for the session, so that a fleet can route a
CancelRequest. The secret is the session's: 32 random bytes, of which a client of protocol 3.0 was told the first four.
It tells nothing about the server. A key that does not fit is answered exactly like one that does: with
nothing (PostgreSQL documentation, "Canceling Requests in Progress").
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Protocol

SESSION_BITS = 20
WORKER_BITS = 5


def place_of(process_id: int) -> tuple[int, int]:
    """Host and worker that gave it out."""
    return process_id >> SESSION_BITS + WORKER_BITS, process_id >> SESSION_BITS & (1 << WORKER_BITS) - 1


class Cancellable(Protocol):
    """A client connection."""

    @property
    def secret_key(self) -> bytes:
        """What its client shows to cancel: 4 bytes in protocol 3.0, 32 in 3.2."""

    async def cancel(self) -> None:
        """Cancels what its session does; returns when the server's cancel connection is closed."""


class CancelKeys:
    """The sessions of this process by virtual process id."""

    def __init__(self, host: int = 0, worker: int = 0) -> None:
        if not 0 <= host < 64 or not 0 <= worker < 32:
            raise ValueError("host has 6 bits and worker 5")
        self._prefix = (host << WORKER_BITS | worker) << SESSION_BITS
        self._last = 0
        self._sessions: dict[int, Cancellable] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def own(self, process_id: int) -> bool:
        """Is it of the kind that this process gives out?"""
        return process_id >> SESSION_BITS << SESSION_BITS == self._prefix

    def register(self, session: Cancellable) -> int:
        """A process id that no living session has. OverflowError when there are 2^20 sessions."""
        for _ in range(1 << SESSION_BITS):
            self._last = self._last % ((1 << SESSION_BITS) - 1) + 1
            process_id = self._prefix | self._last
            if process_id not in self._sessions:
                self._sessions[process_id] = session
                return process_id
        raise OverflowError("every process id is taken")

    def forget(self, process_id: int) -> None:
        """The session ended."""
        self._sessions.pop(process_id, None)

    async def cancel(self, process_id: int, secret_key: bytes) -> bool:
        """Cancels if the whole key fits. False when it does not; nobody but the log learns which."""
        session = self._sessions.get(process_id)
        secret = secret_key if session is None else session.secret_key
        if not compare_digest(secret, secret_key) or session is None or not secret:
            return False
        await session.cancel()
        return True
