"""What one task does for many who wait for it (single flight).

Promises: who stops waiting does not stop the task for the others, and a task that is ended from elsewhere ends nobody
who waits: they are told. (With asyncio.shield who waits would look cancelled himself.) Does not begin or end a task.
"""

from __future__ import annotations

import asyncio
from typing import Any


async def landed(flight: asyncio.Task[Any]) -> bool:
    """Returns when it is over; False when it was cancelled. Errors: the task's."""
    await asyncio.wait((flight,))
    if flight.cancelled():
        return False
    flight.result()
    return True
