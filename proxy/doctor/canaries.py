"""Canaries: those of the rule book in force. They get logins of their own, and start anew with every rule book.

A password is made for each rule book, lives in this process only, and is used by nobody but the canary.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from proxy.auth.scram import build_verifier, parse_verifier
from proxy.doctor.canary import Canary, CanaryStatistics, Log, Target
from proxy.sql.world import World
from proxy.tenancy.policy import Grant, Login
from proxy.tenancy.rulebook import RuleBook, with_logins

LOGIN = "partywall_canary_{}"
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what is listened on cannot be connected to


class Canaries:
    """Every canary of this process. interval: seconds between rounds. password: of a tenant's; all workers must have
    the same, for a canary may meet any. watches: does this process run them?
    """

    def __init__(
        self,
        interval: float,
        world: Callable[[Grant], World | None],
        log: Log,
        password: Callable[[str], str] = lambda _: secrets.token_urlsafe(24),
        *,
        watches: bool = True,
    ) -> None:
        self._interval = interval
        self._password = password
        self._watches = watches
        self._world = world
        self._log = log
        self._passwords: dict[tuple[int, str], str] = {}  # by generation and tenant
        self._canaries: list[Canary] = []
        self._tasks: list[asyncio.Task[None]] = []

    def admitted(self, book: RuleBook) -> RuleBook:
        """The book with the canaries' logins. A login of that name that a rule file has is the file's: no canary."""
        logins = []
        for tenant in book.canaries:
            name = LOGIN.format(tenant)
            if name not in book.logins:
                password = self._password(tenant)
                self._passwords[book.generation, tenant] = password
                verifier = parse_verifier(build_verifier(password, secrets.token_bytes(16)))
                logins.append(Login(name, tenant, verifier))
        return with_logins(book, logins)

    async def start(self, book: RuleBook, host: str, port: int) -> None:
        """Ends the canaries of the book before, and begins those of this one at the proxy's own address."""
        await self.close()
        self._passwords = {key: value for key, value in self._passwords.items() if key[0] == book.generation}
        for grant in book.grants.values() if self._watches else ():
            password = self._passwords.get((book.generation, grant.tenant))
            if password is None or grant.policy.read_only:
                continue
            login = LOGIN.format(grant.tenant)
            target = Target(grant.tenant, grant.database, ANYWHERE.get(host, host), port, login, password)
            canary = Canary(target, lambda grant=grant: self._world(grant), self._log)  # type: ignore[misc]  # bound by default
            self._canaries.append(canary)
            self._tasks.append(asyncio.create_task(canary.run(self._interval), name=f"canary {grant.tenant}"))

    def statistics(self) -> tuple[CanaryStatistics, ...]:
        """A snapshot of each."""
        return tuple(one.statistics() for one in self._canaries)

    async def close(self) -> None:
        """Ends all of them."""
        tasks, self._tasks, self._canaries = self._tasks, [], []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
