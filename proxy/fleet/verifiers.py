"""Verifiers: the queries at servers that the rule book's logins need, begun and ended with it.

What is new is asked once before anything is given up, so that a reload that fails changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from proxy.auth.scram import Verifier
from proxy.catalog.verifiers import VerifierQuery, VerifierStatistics
from proxy.catalog.watch import FAILURES
from proxy.errors import ConfigurationError
from proxy.tenancy.policy import Login, VerifierSource

Key = tuple[VerifierSource, frozenset[str]]


class Verifiers:
    """Every query of the rule book in force."""

    def __init__(self) -> None:
        self._open: dict[Key, VerifierQuery] = {}
        self._by_source: dict[VerifierSource, VerifierQuery] = {}

    def of(self, login: Login) -> Verifier | None:
        """What the login's server told last; None: nothing."""
        query = None if login.source is None else self._by_source.get(login.source)
        return None if query is None else query.verifier(login.name)

    def hurry(self, login: Login | None) -> None:
        """A proof of this login was wrong: its server may know better by now."""
        query = None if login is None or login.source is None else self._by_source.get(login.source)
        if query is not None:
            query.hurry()

    async def reconcile(self, logins: Iterable[Login]) -> None:
        """Asks what `logins` need and ends what they do not. ConfigurationError with every problem; then nothing has
        changed.
        """
        names: dict[VerifierSource, set[str]] = {}
        for login in logins:
            if login.source is not None:
                names.setdefault(login.source, set()).add(login.name)
        wanted = {(source, frozenset(some)) for source, some in names.items()}
        missing = [key for key in wanted if key not in self._open]
        queries = [VerifierQuery(one.server, one.credentials, one.query, some) for one, some in missing]
        done = await asyncio.gather(*(one.start() for one in queries), return_exceptions=True)
        failed = [(key[0], one) for key, one in zip(missing, done, strict=True) if isinstance(one, BaseException)]
        if failed:
            await asyncio.gather(*(one.close() for one in queries))
            raise ConfigurationError([_problem(source, one) for source, one in failed])
        left = [one for key, one in self._open.items() if key not in wanted]
        self._open = {key: one for key, one in self._open.items() if key in wanted} | dict(
            zip(missing, queries, strict=True)
        )
        self._by_source = {source: one for (source, _), one in self._open.items()}
        await asyncio.gather(*(one.close() for one in left))

    def statistics(self) -> VerifierStatistics:
        """A snapshot of all together."""
        each = [one.statistics() for one in self._open.values()]
        return VerifierStatistics(
            sum(one.looks for one in each), sum(one.failures for one in each), sum(one.known for one in each)
        )

    async def close(self) -> None:
        """Ends all of them."""
        every, self._open, self._by_source = list(self._open.values()), {}, {}
        await asyncio.gather(*(one.close() for one in every))


def _problem(source: VerifierSource, error: BaseException) -> str:
    if not isinstance(error, FAILURES):
        raise error
    text = "; ".join(error.problems) if isinstance(error, ConfigurationError) else str(error)
    return f"auth_query as {source.server.role}: {text or type(error).__name__}"
