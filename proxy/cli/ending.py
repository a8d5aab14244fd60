"""How a command that holds something for its time is ended: by SIGTERM as by Ctrl-C.

Promises: what is under way is cancelled, so that its transaction is rolled back, and whom it paused goes on; then
the command ends as one that SIGTERM ended. A second one does not wait. Source: Python documentation, "Runners".
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer

Result = TypeVar("Result")

STATUS = 128 + signal.SIGTERM


def awaited(work: Coroutine[Any, Any, Result]) -> Result:
    """As asyncio.run. Errors: typer.Exit when it was ended."""
    return asyncio.run(_ended(work))


async def _ended(work: Coroutine[Any, Any, Result]) -> Result:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    told = False

    def end() -> None:
        nonlocal told
        told = True
        task.cancel()
        loop.remove_signal_handler(signal.SIGTERM)

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        return await task
    except asyncio.CancelledError:
        if not told:
            raise
        typer.echo("ended by SIGTERM", err=True)
        raise typer.Exit(STATUS) from None
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
