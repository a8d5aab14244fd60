"""Cancel keys: a process id and a secret of the proxy's own for every session, and who they belong to.

The process id has 31 bits: 6 for the host, 5 for the worker, 20 for the session, so that a fleet can route a
CancelRequest. It tells nothing about the server. A key that does not fit is answered exactly like one that does: with
nothing (PostgreSQL documentation, "Canceling Requests in Progress").
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from typing import Protocol

SESSION_BITS = 20
WORKER_BITS = 5


class Cancellable(Protocol):
    """A client connection."""

    async def cancel(self) -> None:
        """Cancels what its session does; returns when the server's cancel connection is closed."""


class CancelKeys:
    """The sessions of this process by virtual process id."""

    def __init__(self, secret_key: Callable[[], bytes], host: int = 0, worker: int = 0) -> None:
        if not 0 <= host < 64 or not 0 <= worker < 32:
            raise ValueError("host has 6 bits and worker 5")
        self._secret_key = secret_key
        self._prefix = (host << WORKER_BITS | worker) << SESSION_BITS
        self._last = 0
        self._sessions: dict[int, tuple[bytes, Cancellable]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def register(self, session: Cancellable) -> tuple[int, bytes]:
        """A process id that no living session has, and its secret."""
        for _ in range(1 << SESSION_BITS):
            self._last = self._last % ((1 << SESSION_BITS) - 1) + 1
            process_id = self._prefix | self._last
            if process_id not in self._sessions:
                secret = self._secret_key()
                self._sessions[process_id] = (secret, session)
                return process_id, secret
        raise OverflowError("every process id is taken")

    def forget(self, process_id: int) -> None:
        """The session ended."""
        self._sessions.pop(process_id, None)

    async def cancel(self, process_id: int, secret_key: bytes) -> bool:
        """Cancels if the key fits. False when it does not; nobody but the log learns which."""
        secret, session = self._sessions.get(process_id, (b"\0" * len(secret_key), None))
        if not compare_digest(secret, secret_key) or session is None:
            return False
        await session.cancel()
        return True
