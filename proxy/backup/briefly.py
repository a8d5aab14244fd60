"""A step that locks what others read, tried again and again, so that each time they wait for a moment only.

Promises: who waits for a lock lets nobody past that wants to read, so it waits a short time, gives up what it has, and
leaves the others time of their own before the next try. Nothing that ran in the session before decides how long. When
no try went through it is Refused, with nothing of the step done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from proxy.backup.refusal import Refused
from proxy.catalog.watch import FAILURES

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

WAIT = "1s"  # for one lock
TRIES = 10
PAUSE = 1.0  # seconds between them
BUSY = ("55P03", "40P01")  # lock_not_available, deadlock_detected


async def briefly(connection: CatalogConnection, step: Callable[[], Awaitable[None]]) -> None:
    """Does `step` in a subtransaction of the one that `connection` is in. It may run several times. Errors: Refused."""
    for left in reversed(range(TRIES)):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{WAIT}'")
                await step()
            return
        except FAILURES as error:
            if getattr(error, "sqlstate", None) not in BUSY:
                raise
            if not left:
                raise Refused(
                    [
                        f"tables that others use are to be locked for a moment, and in {TRIES} tries were not free:"
                        f" {error}; a transaction that has read them is still open, so try again when it has ended"
                    ]
                ) from error
        await asyncio.sleep(PAUSE)
