"""Nothing of a tenant runs for a while: the proxies that serve it are asked to pause it, and to resume it after.

Promises: it is paused at all of them or at none; who does not answer is a reason not to go on. A pause ends by itself
after a time, so that a command that is killed holds nobody up for good. One that somebody else made is left as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from proxy.errors import ConfigurationError
from proxy.fleet.channel import Unanswered, ask
from proxy.fleet.control import Pause, Resume
from proxy.fleet.remote import post

if TYPE_CHECKING:
    from proxy.fleet.control import Answer, Request
    from proxy.settings import Settings


PROMPT = 0.5  # seconds in which a proxy says that a tenant is paused already


class Silent(ConfigurationError):
    """A proxy does not answer."""


@asynccontextmanager
async def paused(
    tenant: str,
    database: str,
    timeout: float,
    hold: float,
    settings: Settings,
    at: Sequence[str] = (),
    alone: bool = False,
) -> AsyncIterator[None]:
    """The tenant's sessions wait in the block. timeout: seconds that what runs may take to end. hold: seconds after
    which they go on by themselves. at: admin addresses to ask instead of this host's door and the settings' peers.
    alone: a pause that somebody else made is in the way, as it may end in the block.
    """
    doors = doors_of(settings, at)
    ours: list[str | None] = []
    try:
        for door in doors:
            asking = asyncio.ensure_future(asked_at(door, Pause(tenant, database, timeout, hold), settings))
            try:
                answer = await asyncio.shield(asking)
            except asyncio.CancelledError:
                if await _unanswered(asking):
                    ours.append(door)
                raise
            except Silent as silent:
                way = "" if alone else "; where no proxy serves it, use --no-pause"
                raise Silent([f"{silent.problems[0]}: the tenant cannot be paused there{way}"]) from None
            if answer.problems and not _harmless(answer, tenant, database, alone):
                holders = answer.result.get("holders", ()) if isinstance(answer.result, dict) else ()
                who = [f"  {one.get('peer', '')} {one.get('state', '')}".rstrip() for one in holders]
                raise ConfigurationError([*answer.problems, *who])
            if not answer.problems:
                ours.append(door)
        yield
    except BaseException:
        await _resumed(ours, Resume(tenant, database), settings)  # what was wrong is told, and not who is gone as well
        raise
    problems = await _resumed(ours, Resume(tenant, database), settings)
    if problems:
        done = f"what was to be done in the pause is done; {tenant} goes on there by itself after {hold:g} s"
        raise Silent([*problems, done])


async def _unanswered(asking: asyncio.Future[Answer]) -> bool:
    """Is a pause being made that nobody waits for any more, or was it? What is asked of another host goes on being
    asked; only a pause that somebody else made is told at once."""
    await asyncio.wait({asking}, timeout=PROMPT)
    if asking.done():
        return not asking.exception() and not asking.result().problems
    asking.cancel()
    return True


async def _resumed(doors: Sequence[str | None], request: Resume, settings: Settings) -> list[str]:
    """Its sessions go on behind each of these, whichever does not answer; why those do not."""
    answers = await asyncio.gather(*(asked_at(door, request, settings) for door in doors), return_exceptions=True)
    return [problem for one in answers if isinstance(one, ConfigurationError) for problem in one.problems]


def doors_of(settings: Settings, at: Sequence[str]) -> list[str | None]:
    """Whom to ask. None: this host's proxy."""
    return list(at) if at else [None, *settings.peers.values()]


def _harmless(answer: Answer, tenant: str, database: str, alone: bool) -> bool:
    """Paused by somebody else, or nobody whom this proxy serves."""
    known = (f"there is no tenant {tenant}", f"there is no database {database}")
    return all(one in known or (one.endswith("is paused already") and not alone) for one in answer.problems)


async def asked_at(door: str | None, request: Request, settings: Settings) -> Answer:
    """What the proxy behind a door says. Silent when it says nothing."""
    from proxy.app.door import CONTROL

    if door is None:
        path = settings.state_directory / CONTROL
        try:
            return await ask(str(path), request)
        except (Unanswered, OSError) as problem:
            raise Silent([f"{path}: {problem}"]) from None
    if settings.admin_token is None:
        raise ConfigurationError([f"{door}: admin_token is not set"])
    try:
        return await asyncio.to_thread(post, door, settings.admin_token.get_secret_value(), request)
    except OSError as problem:
        raise Silent([f"{door}: {problem}"]) from None
