"""Scheduled backups of an App: each is made by a process of its own, which the loop only starts and waits for.

One process of a service does it: the first worker of the host that the setting `backup_host` names. A lock on a file of
the state directory keeps two apart that are there for a moment, as while workers are replaced.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pickle
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from proxy.app.operators import operators_place
from proxy.backup.schedules import BackupFailedError, Done, Errand, Found, Hands, Key, Schedules
from proxy.fleet.frames import HEADER, framed
from proxy.observe.log import get_logger
from proxy.settings import Settings
from proxy.tenancy.policy import BackupRule
from proxy.tenancy.rulebook import RuleBook

LOCK = "backups.lock"
LOOKING = 600.0  # seconds that a look at places may take; errand.py gives up before
GRACE = 15.0  # seconds in which a process that is asked to end removes what it has begun
TOLD = 500  # characters of what a process that crashed said


class Turn:
    """May this process make backups now? Held until it ends, once it was had."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: int | None = None

    def __call__(self) -> bool:
        if self._held is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(found)
                return False
            self._held = found
        return True

    def close(self) -> None:
        """Gives it to others."""
        if self._held is not None:
            os.close(self._held)
            self._held = None


class Backups:
    """Of one process. number: among the workers of its host."""

    def __init__(self, settings: Settings, number: int) -> None:
        self._settings = settings
        self._chosen = number == 0 and settings.host_id == settings.backup_host
        self._book: RuleBook | None = None
        self._turn = Turn(settings.state_directory / LOCK)
        self._audit = get_logger("audit")
        hands = Hands(look=self._look, run=self._make, turn=self._turn, told=self._told, clock=time.time)
        self.schedules = Schedules(hands, settings.backup_jobs, settings.backup_spread)

    def follow(self, book: RuleBook) -> None:
        """These rules hold from now on."""
        self._book = book
        rules: Mapping[Key, BackupRule] = book.backups if self._chosen else {}
        self.schedules.follow(rules)

    async def close(self) -> None:
        """Ends what runs; nothing of it is left."""
        await self.schedules.close()
        self._turn.close()

    async def _look(self, places: Sequence[tuple[Key, BackupRule]]) -> Sequence[Found]:
        found: Sequence[Found] = await asked(list(places), LOOKING)
        return found

    async def _make(self, key: Key, rule: BackupRule, begun: int, crashed: frozenset[int]) -> Done:
        assert self._book is not None
        grant = self._book.grants.get((*key, False)) or self._book.grants[(*key, True)]
        limit = self._settings.backup_timeout
        errand = Errand(
            operators_place(grant, self._settings), grant, rule, self._book.generation, begun, limit + GRACE, crashed
        )
        answer = await asked(errand, limit)
        if isinstance(answer, Done):
            return answer
        raise BackupFailedError(answer)

    def _told(self, event: str, **fields: Any) -> None:
        """On the audit trail, which is on this level."""
        log = self._audit
        if event == "made":
            log.warning("backup made", **fields)
        elif event == "removed":
            log.warning("backups removed", **fields)
        elif event == "stays":
            log.warning("old backups stay", **fields)
        else:
            log.warning("backup failed", **fields)


async def asked(question: Any, limit: float) -> Any:
    """What a process of its own answers. limit: seconds. BackupFailedError when it does not."""
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "proxy.app.errand",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise BackupFailedError([f"no process could be started: {error}"]) from error
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    saying = asyncio.ensure_future(process.stderr.read())  # its end, and what it said until then
    try:
        async with asyncio.timeout(limit):
            process.stdin.write(framed(pickle.dumps(question)))  # and the pipe stays open: it is the leash
            (length,) = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
            return pickle.loads(await process.stdout.readexactly(length))  # noqa: S301  # our own child's bytes
    except TimeoutError:
        killed = await _end(process)
        raise BackupFailedError([f"it took longer than {limit:g} s"], crashed=killed) from None
    except (OSError, EOFError):
        await _end(process)
        said = (await saying).decode("utf-8", "replace").strip()[-TOLD:]
        raise BackupFailedError([f"its process ended with status {process.returncode}: {said}"], crashed=True) from None
    finally:
        await _end(process)
        saying.cancel()


async def _end(process: asyncio.subprocess.Process) -> bool:
    """Asks it to end, and ends it; True when it had to be ended."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), GRACE)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        with suppress(TimeoutError):  # nothing ends one that waits for a disk, and others do not wait for it
            await asyncio.wait_for(process.wait(), GRACE)
        return True
    return False
