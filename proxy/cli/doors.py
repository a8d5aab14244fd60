"""The proxies that serve a tenant which moves, and the document that says where: asked and changed as one.

The document is replaced whole, and every proxy says that it goes by it before the tenant goes on; else the document is
as it was, and every proxy says that. Proxies have read it as it will be by then; and one that cannot, because it reads
other rules, is a reason to refuse.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

from proxy.backup.moving import Stayed, Unclear
from proxy.backup.refusal import Refused
from proxy.cli.document import Document
from proxy.cli.quiet import asked_at, doors_of, paused
from proxy.errors import ConfigurationError
from proxy.fleet.control import Answer, Reload, Request, Resume, Statistics
from proxy.settings import Settings

MARGIN = 30.0  # seconds that a pause lasts longer than it may, should who asked for it be killed


@dataclass(slots=True)
class RuleDoors:
    """Of one move. before, after: the document's text. here, there: the places as proxies name them."""

    tenant: str
    database: str
    document: Document
    before: str
    after: str
    here: str
    there: str
    settings: Settings
    at: Sequence[str]
    max_pause: float
    alone: bool  # nobody has paused it yet

    async def named(self) -> bool:
        """Do the rules name the target?"""
        text = await self.document.read()
        return self.document.edited(text) == text

    async def ready(self) -> None:
        """As Doors has it."""
        await self._all_at(self.here)
        self.before = await self.document.read()  # others may have changed it, or what stands in its file besides
        self.after = self.document.edited(self.before)
        if self.after == self.before:
            raise Refused([f"{self.document.name} names the target already"])
        async with self.document.drafted(self.after) as request:
            await self._each(request)
        await self.check_others()

    async def check_others(self) -> None:
        """Refused where the document would say something else of the tenant's other databases as well: their rows would
        not move with it."""
        before, after = await self.document.book(self.before), await self.document.book(self.after)
        keys = {one for one in (*before.grants, *after.grants) if one[0] == self.tenant and one[1] != self.database}
        if others := sorted({key[1] for key in keys if before.grants.get(key) != after.grants.get(key)}):
            raise Refused(
                [
                    f"{self.document.name} says for {', '.join(others)} of {self.tenant} what it says for"
                    f" {self.database}, and a move takes one database: see docs/move.md"
                ]
            )

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """As Doors has it."""
        hold = self.max_pause + MARGIN
        async with paused(self.tenant, self.database, self.max_pause, hold, self.settings, self.at, self.alone):
            yield
        if not self.alone:
            await self.go_on()

    async def go_on(self) -> None:
        """As Doors has it. What a command that was killed has paused goes on, too."""
        await self._every(Resume(self.tenant, self.database))

    async def switch(self) -> None:
        """As Doors has it."""
        try:
            await self._write(self.after)
            await self._each(Reload(self.document.draft))
            await self._all_at(self.there)
        except (ConfigurationError, OSError) as error:
            await self._give_up(error)
        finally:
            self.forget()

    def forget(self) -> None:
        """No draft lies about any more."""
        self.document.forget()

    async def back(self) -> None:
        """As Doors has it."""
        await self._write(self.before)
        await self._each(Reload())
        await self._all_at(self.here)

    async def _give_up(self, error: ConfigurationError | OSError) -> NoReturn:
        try:
            await self.back()
        except (ConfigurationError, OSError) as second:
            raise Unclear(
                [
                    *_why(error),
                    *_why(second),
                    f"nothing of {self.tenant} is written before --resume or --abort went through",
                ]
            ) from None
        raise Stayed([*_why(error), f"{self.tenant} goes on at the source"]) from None

    async def _write(self, text: str) -> None:
        """The document has this text; where others changed it, it is enough that it says the same of the tenant."""
        now = await self.document.replace(text, (self.before, self.after))
        if now != text and (self.document.edited(now) == now) != (text == self.after):
            server = self.there if text == self.after else self.here
            raise Refused([f"{self.document.name} was changed meanwhile; let it name {server} for {self.tenant}"])

    async def arrived(self) -> None:
        """As Doors has it."""
        await self._all_at(self.there)

    async def _all_at(self, place: str) -> None:
        """Refused unless every proxy serves it there."""
        problems = []
        for door, answer in await self._every(Statistics(self.tenant)):
            if answer.problems == (f"there is no tenant {self.tenant}",):
                problems.append(f"{self._name(door)} knows no tenant {self.tenant}: it goes by other rules")
                continue
            problems += [f"{self._name(door)}: {one}" for one in answer.problems]
            for process in (answer.result or {}).get("processes", ()):
                home = process.get("homes", {}).get(self.database)
                if home is None:
                    problems.append(f"{self._name(door)}: a process of it does not serve {self.tenant} now")
                elif home["at"] != place:
                    problems.append(f"{self._name(door)} serves {self.tenant} at {home['at']}, and not at {place}")
        if problems:
            raise Refused(problems)

    async def _each(self, request: Request) -> None:
        """Refused with every problem."""
        answers = await self._every(request)
        problems = [f"{self._name(door)}: {one}" for door, answer in answers for one in answer.problems]
        if problems:
            raise Refused(problems)

    async def _every(self, request: Request) -> list[tuple[str | None, Answer]]:
        """Who does not answer keeps none of the others from doing it."""
        doors = doors_of(self.settings, self.at)
        answers = await asyncio.gather(
            *(asked_at(door, request, self.settings) for door in doors), return_exceptions=True
        )
        found = []
        for door, answer in zip(doors, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            found.append((door, answer))
        return found

    def _name(self, door: str | None) -> str:
        return door or "the proxy here"


def _why(error: ConfigurationError | OSError) -> list[str]:
    return error.problems if isinstance(error, ConfigurationError) else [str(error)]
