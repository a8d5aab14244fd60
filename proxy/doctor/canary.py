"""Canary: a tenant of the proxy's own, without rows, as which the running proxy attacks itself.

It comes through the front door like any client: TCP, SCRAM, parse, plan, pool. Each round sends the next few probes;
whatever answers more than nothing, or fails with an error that only a row could cause, is a leak. A leak stays on
record until the rules are loaded anew or the process ends, because the shape that found it comes round again only
later. Values are never logged. What a probe is stands in probes.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import asyncpg

from proxy.doctor.probes import Probe, probes
from proxy.sql.world import World

PROBES_A_ROUND = 20
PROBE_SECONDS = 30.0
REFUSED = frozenset({"0A", "25", "42"})  # SQLSTATE classes of a statement that never ran
CAUSED_BY_A_ROW = frozenset({"21", "22", "23", "2F", "38", "39", "P0"})

Outcome = Literal["confined", "refused", "leak", "failed"]


class Log(Protocol):
    """What is said of a round."""

    def error(self, event: str, **values: Any) -> None: ...
    def warning(self, event: str, **values: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Target:
    """Where a canary comes in. port: of the proxy's own listener."""

    tenant: str
    database: str
    host: str
    port: int
    login: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CanaryStatistics:
    """ok: the last round was whole, and no probe since the rules were loaded has leaked."""

    tenant: str
    database: str
    ok: bool
    outcomes: Mapping[Outcome, int]


class Canary:
    """One tenant's canary on one database. `world` gives the present picture; None while there is none."""

    def __init__(self, target: Target, world: Callable[[], World | None], log: Log) -> None:
        self._target = target
        self._world = world
        self._log = log
        self._next = 0
        self._whole = False
        self._leaks: set[str] = set()  # shapes
        self._outcomes: Counter[Outcome] = Counter()

    def statistics(self) -> CanaryStatistics:
        """A snapshot."""
        ok = self._whole and not self._leaks
        return CanaryStatistics(self._target.tenant, self._target.database, ok, dict(self._outcomes))

    async def run(self, interval: float) -> None:
        """A round every `interval` seconds, until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(interval)

    async def round(self) -> None:
        """The next PROBES_A_ROUND probes. Nothing is raised: a round that cannot run is not whole."""
        world = self._world()
        every = probes(world) if world is not None else ()
        chosen = [every[(self._next + at) % len(every)] for at in range(min(PROBES_A_ROUND, len(every)))]
        self._next += len(chosen)
        target = self._target
        whole = bool(chosen)
        try:
            connection = await asyncpg.connect(
                host=target.host,
                port=target.port,
                user=target.login,
                password=target.password,
                database=target.database,
                ssl=False,
                timeout=PROBE_SECONDS,
                command_timeout=PROBE_SECONDS,
                statement_cache_size=0,
            )
        except (asyncpg.PostgresError, OSError, TimeoutError) as problem:
            self._log.warning("canary could not connect", tenant=target.tenant, reason=type(problem).__name__)
            self._whole = False
            return
        try:
            for probe in chosen:
                outcome = await self._ask(connection, probe)
                self._outcomes[outcome] += 1
                whole = whole and outcome != "failed"
        finally:
            with suppress(asyncpg.PostgresError, OSError, TimeoutError):
                await connection.close(timeout=PROBE_SECONDS)
        self._whole = whole

    async def _ask(self, connection: asyncpg.Connection[asyncpg.Record], probe: Probe) -> Outcome:
        try:
            rows = await connection.fetch(probe.text)
        except asyncpg.PostgresError as problem:
            code = problem.sqlstate or ""
            if code[:2] in CAUSED_BY_A_ROW:
                return self._leaked(probe, code)
            if code[:2] not in REFUSED:
                self._log.warning("canary probe failed", tenant=self._target.tenant, sqlstate=code, shape=probe.shape)
            return "refused" if code[:2] in REFUSED else "failed"
        except (asyncpg.InterfaceError, OSError, TimeoutError) as problem:
            self._log.warning("canary probe failed", tenant=self._target.tenant, reason=type(problem).__name__)
            return "failed"
        nothing = len(rows) <= 1 and all(value in (None, 0) for row in rows for value in row.values())
        return "confined" if nothing else self._leaked(probe, "rows")

    def _leaked(self, probe: Probe, what: str) -> Outcome:
        self._leaks.add(probe.shape)
        self._log.error(
            "canary saw another tenant's row",
            tenant=self._target.tenant,
            database=self._target.database,
            relation=probe.relation,
            shape=probe.shape,
            what=what,
        )
        return "leak"
