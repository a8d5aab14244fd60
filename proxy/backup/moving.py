"""A tenant moves to another place while it works: the steps, in their order, and the way back from each.

Promises: at every moment one place takes the tenant's writes, or none does, whatever a proxy believes: the servers
refuse it. Until the target is open the source is in charge, and abort() makes it so again; every step can be taken
again after a kill. The journal says which was the last. The proxies and the rules are the caller's, behind `Doors`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from proxy.backup import changelog, journal
from proxy.backup.changelog import ARRIVING as COMES
from proxy.backup.ends import MOVING, ONE, Ends, both, check_ways
from proxy.backup.journal import ABORTING, ARRIVING, COPYING, FENCED, MOVED, OPEN, SWITCHING, Move
from proxy.backup.mirroring import Mirror, Tell, removed
from proxy.backup.passages import Passage
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept
from proxy.backup.snapshot import opened
from proxy.backup.surveying import planned, tables_of
from proxy.catalog.introspect import introspect
from proxy.catalog.watch import FAILURES
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

PATIENCE = "200ms"  # for a table's lock: whoever writes to it waits behind us for so long
TRIES = 100
LOCKED = "55P03"
BETWEEN = 0.2  # seconds
ROUNDS = 50  # of following, before the tenant is said to be too fast
CUT = 5.0  # seconds that a server has to end what took too long in the pause, before its connection is cut
ALWAYS, ORIGIN = "A", "O"  # of pg_trigger.tgenabled
CHANGED = "the tables or the triggers on them were changed since the move began: --abort, and begin again"
TOO_LONG = (
    "{} would have waited longer than {:g} seconds, and goes on at the source;"
    " --resume tries again, with a longer --max-pause perhaps"
)
# A server that was started anew may have given the number to somebody else.
GONE = """
SELECT pg_catalog.pg_terminate_backend(a.pid, 10000)
  FROM pg_catalog.pg_stat_activity a WHERE a.pid = $1 AND a.application_name = 'partywall move'
"""
# Of a table and its partitions, which have the triggers of rows and not that of a statement, the last. A trigger by the
# same name may be anybody's.
MADE = """
WITH RECURSIVE tables AS (
  SELECT $1::pg_catalog.oid AS oid, pg_catalog.cardinality($2::pg_catalog.name[]) AS most
   UNION
  SELECT i.inhrelid, pg_catalog.cardinality($2::pg_catalog.name[]) - 1
    FROM pg_catalog.pg_inherits i JOIN tables ON i.inhparent = tables.oid
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition)
SELECT NOT EXISTS (
  SELECT FROM tables
    JOIN pg_catalog.unnest($2::pg_catalog.name[]) WITH ORDINALITY n(name, number) ON n.number <= tables.most
   WHERE NOT EXISTS (
     SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = tables.oid AND t.tgname = n.name
        AND t.tgenabled::pg_catalog.text = $3 AND t.tgfoid = pg_catalog.to_regprocedure($4)::pg_catalog.oid))
"""


class Unclear(Refused):
    """Some proxy does not answer: nothing of the tenant is written anywhere before the move goes on or is aborted."""


class Stayed(Refused):
    """The rules could not be switched: they name the source, and every proxy has said that it goes by them."""


class Doors(Protocol):
    """The proxies that serve the tenant, and the rules that say where."""

    async def ready(self) -> None:
        """Every proxy serves it at the source, has read the rules as they will be, and can reach the target. Refused
        where one is not."""

    def paused(self) -> AbstractAsyncContextManager[None]:
        """Nothing of the tenant runs in the block. Refused where that cannot be had."""

    async def switch(self) -> None:
        """The rules name the target, and every proxy goes by them. Stayed: they name the source again, everywhere;
        after any other error nobody can tell."""

    async def arrived(self) -> None:
        """Refused unless the rules name the target, and every proxy goes by them."""

    async def back(self) -> None:
        """The rules name the source, and every proxy goes by them. Refused where one does not."""

    async def go_on(self) -> None:
        """Nobody waits any more."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was done: rows that were copied, keys of rows that were written meanwhile; the pause in seconds."""

    copied: int
    followed: int
    pause: float


async def standing(ends: Ends) -> Move | None:
    """How far the tenant's move is, by the journal at the source."""
    connection = await opened(ends.source, MOVING)
    try:
        return await journal.found(connection, ends.here.tenant, ends.here.database)
    finally:
        await connection.close()


async def tried(ends: Ends) -> Sequence[Passage]:
    """The tables that would move. Refused with everything that is in the way and can be seen before."""
    async with both(ends) as (source, target):
        return (await planned(source, target, ends.here, ends.there)).passages


async def open_there(ends: Ends, at: Move) -> bool:
    """Is the target the tenant's home, whatever the journal at the source says yet?"""
    connection = await opened(ends.target, MOVING)
    try:
        arrival = await journal.arriving(connection, at.tenant, at.database)
        return arrival is not None and arrival.id == at.id and arrival.phase == OPEN
    finally:
        await connection.close()


async def move(ends: Ends, doors: Doors, id: str, max_pause: float, tell: Tell = lambda _: None) -> Moved:
    """From wherever the journal says it is, to the end. id: of a move that is not begun yet. max_pause: in seconds;
    where the tenant would have to wait longer, it goes on at the source, and Refused says so.

    Errors: those of proxy.catalog.watch.FAILURES; Refused. The source is in charge then, but for Unclear.
    """
    check_ways(ends.here, ends.there)
    async with both(ends) as (source, target):
        at = await journal.found(source, ends.tenant, ends.here.database)
        arrival = await journal.arriving(target, ends.tenant, ends.here.database)
        if at is not None:
            _check_asked(at, id, ends)
            if at.phase == MOVED:
                await unlogged(target, at, COMES)
                await doors.go_on()
                raise Refused([f"{at.tenant} has moved to {at.elsewhere} already"])
            if at.phase == ABORTING:
                raise Refused([f"the move of {at.tenant} is being given up: --abort ends that"])
        await _check_cleaned(ends, source, target, at)
        if arrival is not None and (at is None or arrival.id != at.id):
            raise Refused([f"{ends.tenant} was moved to the target before, which was not cleaned up"])
        if at is not None and arrival is not None and arrival.phase == OPEN:
            return await _finished(source, target, at, doors)
        if at is not None and at.phase != COPYING and arrival is None:
            raise Refused([f"the target knows nothing of {at.tenant}'s move: --abort, and begin again"])
        plan = await planned(source, target, ends.here, ends.there)
        if at is not None and at.plan != plan.mark:
            raise Refused([CHANGED])
        await journal.made(source)
        await journal.made(target)
        if at is None:
            await doors.ready()
            at = Move(id, ends.tenant, ends.here.database, COPYING, ends.there.home, plan.mark)
            await journal.begun(source, at)
        mirror = Mirror(at, source, target, ends.here, ends.there, plan.passages, plan.links, tell)
        moving = _Moving(ends, doors, mirror, max_pause)
        await moving.guard()
        if at.phase == COPYING:
            await moving.copy()
            await moving.compare()
        if at.phase != SWITCHING:
            await doors.ready()
        if at.phase == COPYING:
            await moving.near()
        return await moving.switch()


async def abort(ends: Ends, doors: Doors) -> None:
    """The tenant stays at the source, and nothing is left at the target. Refused once that is open.

    From its own phase on nothing is logged any more, so that nobody can go on with what is being given up.
    """
    async with both(ends) as (source, target):
        at = await journal.found(source, ends.tenant, ends.here.database)
        if at is None:
            return
        _check_asked(at, at.id, ends)
        arrival = await journal.arriving(target, at.tenant, at.database)
        ours = arrival is not None and arrival.id == at.id
        if at.phase == MOVED or (ours and arrival is not None and arrival.phase != ARRIVING):
            raise Refused([f"{at.tenant} has moved: --resume and --clean end it, and then it can be moved back"])
        await doors.back()
        await journal.turned(source, at, ABORTING, (COPYING, FENCED, SWITCHING, ABORTING))
        await doors.go_on()
        if ours and arrival is not None:
            catalog = await introspect(target, 1)  # by what was made there, whatever the tables are by now
            others = await tables_of(target, ends.there, ends.here, catalog)
            theirs = await of_move(target, at, COMES)
            await removed(target, [one for one in others if one.relation.oid in theirs], ends.there, arrival.plan)
            await journal.ended(target, arrival)
        await unlogged(target, at, COMES)
        await unlogged(source, at)
        await journal.ended(source, at)


def _check_asked(at: Move, id: str, ends: Ends) -> None:
    """Refused where the journal knows of another move than the one that was asked for."""
    if at.id != id or at.elsewhere != ends.there.home:
        raise Refused(
            [
                f"{at.tenant} is on its way to {at.elsewhere} by the journal, in a move that was begun elsewhere or"
                " with another --to: go on with it where it was begun, and as it was"
            ]
        )


async def _check_cleaned(ends: Ends, source: CatalogConnection, target: CatalogConnection, at: Move | None) -> None:
    """Refused where something is left of another move: of one from the target, or of the one that led here."""
    left = await journal.found(target, ends.tenant, ends.here.database)
    if left is not None and (at is None or left.id != at.id):
        raise Refused([f"{ends.tenant} was moved from the target, and what it left there was not cleaned up"])
    came = await journal.arriving(source, ends.tenant, ends.here.database)
    if came is not None and (at is None or came.id != at.id):
        raise Refused([f"{ends.tenant} came here from {came.elsewhere}, and what it left there was not cleaned up"])


async def _finished(source: CatalogConnection, target: CatalogConnection, at: Move, doors: Doors) -> Moved:
    """The target is open already: it is the home, and there is no way back."""
    await journal.turned(source, at, MOVED, (SWITCHING,))
    await unlogged(target, at, COMES)
    await doors.arrived()
    await doors.go_on()
    return Moved(0, 0, 0)


class _Moving:
    """The steps of one move."""

    def __init__(self, ends: Ends, doors: Doors, mirror: Mirror, max_pause: float) -> None:
        self._ends = ends
        self._doors = doors
        self._mirror = mirror
        self._max_pause = max_pause
        self._copied = self._followed = 0
        self._backend = mirror.source.get_server_pid()  # a connection that was cut knows it no more

    async def copy(self) -> None:
        """What is written is logged from now on, and the rest is at the target."""
        mirror, at = self._mirror, self._mirror.move
        for one in mirror.passages:
            await logged(mirror.source, at, one, self._ends.here)
        arrival = await journal.arriving(mirror.target, at.tenant, at.database)
        if arrival is None:
            self._copied = await mirror.copy(replace(at, phase=ARRIVING, elsewhere=self._ends.here.home))
        elif arrival.id != at.id or arrival.phase != ARRIVING:
            raise Refused([f"the target does not wait for {at.tenant}'s rows"])

    async def guard(self) -> None:
        """Nobody writes the tenant's rows at the target, whatever the rules say, until it is open."""
        mirror, at = self._mirror, self._mirror.move
        for one in mirror.passages:
            if not await made(mirror.target, one.target, at, COMES):
                await mirror.target.execute(changelog.guard(at.id, one, at.tenant))
                await patiently(mirror.target, changelog.guarding(at.id, one, self._ends.there))

    async def near(self) -> None:
        """What is still to follow takes little of what a pause may."""
        for _ in range(ROUNDS):
            since = time.monotonic()
            self._followed += (await self._mirror.follow())[0]
            if time.monotonic() - since < self._max_pause / 4:
                return
        raise Refused([f"{self._mirror.move.tenant} writes faster than it can be followed; try a longer --max-pause"])

    async def compare(self) -> None:
        """Everything at the target is what it is here, of one moment. What comes later is compared when it comes."""
        await self.near()
        count, different = await self._mirror.follow(compare=True)
        self._followed += count
        if different:
            raise Refused(different)
        await self._mirror.passed()  # so that little of it is left for the pause

    async def switch(self) -> Moved:
        """The tenant waits, and goes on at the target; or at the source, and it is told why."""
        at, source = self._mirror.move, self._mirror.source
        since = time.monotonic()
        async with self._doors.paused():
            if at.phase != SWITCHING:
                left = max(0.0, since + self._max_pause - time.monotonic())
                limit = asyncio.timeout(left)
                cut = asyncio.get_running_loop().call_later(left + CUT, self._mirror.cut)
                try:
                    async with limit:
                        await self._last()
                    await journal.turned(source, at, SWITCHING, (FENCED,))
                except BaseException:
                    await self._unfence()
                    if limit.expired():
                        raise Refused([TOO_LONG.format(at.tenant, self._max_pause)]) from None
                    raise
                finally:
                    cut.cancel()
            try:
                await self._doors.switch()
            except Stayed:
                await self._unfence()
                raise
            try:
                await journal.turned(self._mirror.target, at, OPEN, (ARRIVING,))
                await journal.turned(source, at, MOVED, (SWITCHING,))
            except FAILURES as error:
                raise Unclear([f"the target may be open, or is not yet; --resume goes on: {error!r}"]) from None
        pause = time.monotonic() - since
        await unlogged(self._mirror.target, at, COMES)
        return Moved(self._copied, self._followed, pause)

    async def _last(self) -> None:
        mirror, at = self._mirror, self._mirror.move
        await journal.turned(mirror.source, at, FENCED, (COPYING, FENCED))
        await self._check_same()
        count, different = await mirror.follow()
        self._followed += count
        if different:
            raise Refused(different)
        await mirror.passed()

    async def _check_same(self) -> None:
        """The tables are those that were followed, and every trigger of the move still is in force."""
        mirror, at = self._mirror, self._mirror.move
        again = await planned(mirror.source, mirror.target, mirror.here, mirror.there)
        for one in mirror.passages:
            whole = await made(mirror.source, one.source, at) and await made(mirror.target, one.target, at, COMES)
            if not whole or again.mark != at.plan:
                raise Refused([CHANGED])

    async def _unfence(self) -> None:
        """The source takes writes again. By a connection of its own: the other must not end anything afterwards."""
        at = self._mirror.move
        connection = await opened(self._ends.source, MOVING)
        try:
            await connection.fetchval(GONE, self._backend)
            if not await connection.fetchval(ONE, self._ends.lock):
                raise Unclear([f"another command is moving {at.tenant}: see --status"])
            now = await journal.found(connection, at.tenant, at.database)
            if now is not None and now.phase != COPYING:
                await journal.turned(connection, at, COPYING, (FENCED, SWITCHING))
        finally:
            await connection.close()


async def logged(connection: CatalogConnection, at: Move, one: Passage, grant: Grant) -> None:
    """What is written to the table from now on is logged. Done again it changes nothing."""
    if await made(connection, one.source, at):
        return
    await connection.execute(changelog.function(at.id, one, at.tenant))
    await patiently(connection, changelog.triggers(at.id, one, grant))


async def made(connection: CatalogConnection, kept: Kept, at: Move, end: str = "") -> bool:
    """Has the table all of the move's triggers, in force as they were made, and has each of its partitions those of
    rows? end: as changelog has it."""
    names, force = changelog.names(at.id, end), ORIGIN if end else ALWAYS
    whole: bool = await connection.fetchval(MADE, kept.relation.oid, names, force, changelog.called(at.id, kept, end))
    return whole


async def of_move(connection: CatalogConnection, at: Move, end: str = "") -> frozenset[int]:
    """The numbers of the tables that the move was made for at this end. By its functions, which no tenant can drop or
    rename as it can the triggers on its own tables."""
    return frozenset(row["oid"] for row in await connection.fetch(changelog.tables(at.id, end)))


async def unlogged(connection: CatalogConnection, at: Move, end: str = "") -> None:
    """Nothing of the move's triggers and functions is left at this end. Each table's go together."""
    for row in await connection.fetch(changelog.undone(at.id, end)):
        await patiently(connection, row["statements"])


async def patiently(connection: CatalogConnection, statements: Sequence[str]) -> None:
    """Runs these in one transaction, as soon as they get their locks. Whoever else uses the table waits behind them for
    PATIENCE at most, and goes first then. LockNotAvailableError when that never comes."""
    for turn in range(TRIES):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
                for one in statements:
                    await connection.execute(one)
            return
        except FAILURES as error:
            if turn == TRIES - 1 or getattr(error, "sqlstate", "") != LOCKED:
                raise
            await asyncio.sleep(BETWEEN)
