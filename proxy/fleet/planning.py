"""PlannerProcesses: statements too long to be planned on the event loop are planned by child processes.

A process plans one text at a time; one that is still at it after `timeout` seconds is killed and replaced, and the
statement is refused
with 54001. A process that dies is replaced at the next need. Catalogs are sent once per version and process, and what
tenants share once for all of them; of such tenants a process keeps the last MOST. When no process can be had, the
statement is refused, never planned on the loop and never forwarded. One process more, of low priority, is for those who
plan more than their share: nobody else waits for it, and it gives way to everything on the machine.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from proxy.catalog.layers import LayeredCatalog, Part
from proxy.catalog.model import Catalog
from proxy.errors import CannotConnectNow, InternalError, StatementTooComplex
from proxy.fleet.frames import HEADER
from proxy.fleet.messages import (
    Forget,
    Message,
    PlannedText,
    PlanText,
    TakeCatalog,
    TakePart,
    TakeShared,
    decode,
    encode,
)
from proxy.fleet.worker import LOW
from proxy.sql.plan import PlanContext, Planned

MOST = 100  # tenants with a part of their own whose pictures a process keeps
MOST_SHARED = 16  # databases whose shared part it keeps
HINT = "Send the statement in smaller parts, or raise plan_timeout."


@dataclass(slots=True, eq=False)
class _Child:
    process: asyncio.subprocess.Process
    versions: dict[str, int] = field(default_factory=dict)
    parts: OrderedDict[str, None] = field(default_factory=OrderedDict)  # tenants' pictures, least recently used first
    shared: OrderedDict[int, Catalog] = field(default_factory=OrderedDict)  # by id(), which is nobody else's meanwhile

    def lacks(self, database: str, catalog: Catalog) -> list[Message]:
        """What it must be told before it can plan there, and what it need not keep for that any more."""
        if isinstance(catalog, LayeredCatalog) and catalog.shared is not None and catalog.own is not None:
            return self._lacks_part(database, catalog.shared, catalog.own, catalog.version)
        if self.versions.get(database) == catalog.version:
            return []
        self.versions[database] = catalog.version
        return [TakeCatalog(database, catalog)]

    def _lacks_part(self, database: str, shared: Catalog, part: Part, version: int) -> list[Message]:
        told: list[Message] = []
        self.parts[database] = None
        self.parts.move_to_end(database)
        if self.versions.get(database) == version:
            return told
        number = id(shared)
        if number not in self.shared:
            told.append(TakeShared(number, shared))
            self.shared[number] = shared
        self.shared.move_to_end(number)
        told.append(TakePart(database, number, part, version))
        self.versions[database] = version
        while len(self.parts) > MOST:
            gone, _ = self.parts.popitem(last=False)
            self.versions.pop(gone, None)
            told.append(Forget((gone,)))
        while len(self.shared) > MOST_SHARED:
            old, _ = self.shared.popitem(last=False)
            told.append(Forget((), (old,)))
        return told


@dataclass(slots=True, eq=False)
class _Crew:
    """Processes that plan for the same callers. slots: as many as there may be."""

    slots: asyncio.Semaphore
    arguments: tuple[str, ...] = ()
    idle: list[_Child] = field(default_factory=list)


class PlannerProcesses:
    """At most `count` planner processes and one of low priority, started when first needed."""

    def __init__(self, count: int, timeout: float) -> None:
        self._ordinary = _Crew(asyncio.Semaphore(count))
        self._low = _Crew(asyncio.Semaphore(1), (LOW,))
        self._timeout = timeout
        self._all: set[_Child] = set()
        self._asked: set[asyncio.Task[Any]] = set()  # who waits for an answer
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "pictures")  # its own: others' work in threads must not wait for a picture
        self.planned = 0
        self.killed = 0

    async def plan(
        self,
        database: str,
        catalog: Catalog,
        text: bytes,
        context: PlanContext,
        parameter_types: tuple[int, ...],
        extended: bool,
        spent: Callable[[float], None] | None = None,
        low: bool = False,
    ) -> Planned:
        """Plans elsewhere. StatementTooComplex after the timeout; InternalError when the child failed. spent: told
        once, whatever happens, how many seconds the child had to do; one that was ended counts as long as it may take.
        low: by the process of low priority. Who still waits at `close` is cancelled; CannotConnectNow afterwards.
        """
        if self._closed:
            raise CannotConnectNow("the database system is shutting down")
        task = asyncio.current_task()
        assert task is not None
        seconds = 0.0
        asked = PlanText(database, text, context, parameter_types, extended)
        self._asked.add(task)
        try:
            answer = await self._answer(self._low if low else self._ordinary, database, catalog, asked)
            seconds = answer.seconds
        except (StatementTooComplex, InternalError):
            seconds = self._timeout
            raise
        finally:
            self._asked.discard(task)
            if spent is not None:
                spent(seconds)
        if answer.planned is None:
            raise InternalError(f"planner process failed: {answer.problem}")
        self.planned += 1
        return answer.planned

    async def _answer(self, crew: _Crew, database: str, catalog: Catalog, asked: PlanText) -> PlannedText:
        async with crew.slots:
            child = crew.idle.pop() if crew.idle else await self._start(crew.arguments)
            try:
                async with asyncio.timeout(self._timeout):
                    for message in child.lacks(database, catalog):
                        await self._send(child, await self._encode(message))
                    await self._send(child, encode(asked))
                    answer = await self._receive(child)
            except TimeoutError:
                self.killed += 1
                await self._end(child)
                raise StatementTooComplex("statement is too complex to be planned in time", hint=HINT) from None
            except (OSError, EOFError, asyncio.IncompleteReadError) as error:
                await self._end(child)
                raise InternalError("planner process ended") from error
            except BaseException:
                await self._end(child)  # cancelled in the middle of a frame: the pipe is out of step
                raise
            crew.idle.append(child)
        return answer

    async def _encode(self, message: Message) -> bytes:
        """In a thread, for a picture of thousands of functions takes longer than anybody should wait."""
        if isinstance(message, Forget):
            return encode(message)
        return await asyncio.get_running_loop().run_in_executor(self._thread, encode, message)

    async def close(self) -> None:
        """Ends every process, and what is asked of them."""
        self._closed = True
        asked = list(self._asked)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        self._ordinary.idle.clear()
        self._low.idle.clear()
        for child in list(self._all):
            await self._end(child)
        self._thread.shutdown(wait=False)

    async def _start(self, arguments: tuple[str, ...]) -> _Child:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "proxy.fleet.worker",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        child = _Child(process)
        self._all.add(child)
        return child

    async def _end(self, child: _Child) -> None:
        self._all.discard(child)
        if child.process.returncode is None:
            child.process.kill()
        await child.process.wait()

    async def _send(self, child: _Child, frame: bytes) -> None:
        assert child.process.stdin is not None
        child.process.stdin.write(frame)
        await child.process.stdin.drain()

    async def _receive(self, child: _Child) -> PlannedText:
        assert child.process.stdout is not None
        (length,) = HEADER.unpack(await child.process.stdout.readexactly(HEADER.size))
        answer = decode(await child.process.stdout.readexactly(length))
        if not isinstance(answer, PlannedText):
            raise EOFError("a planner process answered something else")
        return answer
