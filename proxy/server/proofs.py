"""Proofs: when a client hears whether its proof was right, and how many were let in or not.

Whoever leaves while the answer waits gives its place back. auth.throttle decides; this module holds the clock. What
came of a proof is told to `share`, for other workers to know, and theirs come to `heard`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from proxy.auth.throttle import Attempt, Throttle
from proxy.errors import InvalidPassword, Refusal, TooManyAttempts
from proxy.session.events import ProofWeighed

OUTCOMES = ("accepted", "failed", "refused", "throttled")


@dataclass(frozen=True, slots=True)
class LoginStatistics:
    """Log-ins by outcome since the start, and how many answers had to wait."""

    outcomes: dict[str, int]
    delayed: int


class Proofs:
    """Of one listener."""

    def __init__(
        self,
        clock: Callable[[], float],
        failed: Callable[[str], None],
        share: Callable[[str, str, bool], object],
        workers: int,
    ) -> None:
        self._clock = clock
        self._failed = failed
        self._share = share
        self._throttle = Throttle(workers)
        self._outcomes = dict.fromkeys(OUTCOMES, 0)

    def weigh(self, login: str, address: str, right: bool, tell: Callable[[ProofWeighed], None]) -> Waiting | None:
        """Tells at once when nothing has to wait; else what is to be withdrawn when the client leaves first."""
        if not right:
            self._failed(login)
            self._share(login, address, False)
        attempt = self._throttle.weigh(login, address, right, self._clock())
        if attempt is None:
            hint = "Wrong proofs from your address slow down further ones. Try again later."
            tell(ProofWeighed(TooManyAttempts("too many attempts to log in", hint=hint)))
            return None

        def answered() -> None:
            if self._throttle.end(attempt, True):
                self._share(login, address, True)
            tell(ProofWeighed())

        if attempt.delay:
            return Waiting(self._throttle, attempt, answered)
        answered()
        return None

    def heard(self, login: str, address: str, right: bool) -> None:
        """Another worker weighed a proof."""
        self._throttle.note(login, address, right, self._clock())

    def accepted(self) -> None:
        """Somebody was let in."""
        self._outcomes["accepted"] += 1

    def refused(self, refusal: Refusal) -> str:
        """Somebody was not. The outcome, by the name that the metric has for it."""
        outcome = "refused"
        if isinstance(refusal, InvalidPassword):
            outcome = "failed"
        elif isinstance(refusal, TooManyAttempts):
            outcome = "throttled"
        self._outcomes[outcome] += 1
        return outcome

    def statistics(self) -> LoginStatistics:
        """A snapshot."""
        return LoginStatistics(dict(self._outcomes), self._throttle.delayed)


class Waiting:
    """An answer that waits."""

    __slots__ = ("_answered", "_attempt", "_throttle", "_timer")

    def __init__(self, throttle: Throttle, attempt: Attempt, answered: Callable[[], None]) -> None:
        self._throttle = throttle
        self._attempt: Attempt | None = attempt
        self._answered = answered
        self._timer = asyncio.get_running_loop().call_later(attempt.delay, self._over)

    def _over(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._answered()

    def withdraw(self) -> None:
        """Nobody waits any more."""
        self._timer.cancel()
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._throttle.end(attempt, False)
