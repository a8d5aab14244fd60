"""Tasks: each is known until it ends, and what it raises is never lost."""

from __future__ import annotations

import asyncio
from typing import Any

from proxy.server.tasks import Tasks


class Heard:
    """A log that keeps what it was told."""

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []

    def debug(self, event: str, **fields: Any) -> None: ...

    def info(self, event: str, **fields: Any) -> None: ...

    def warning(self, event: str, **fields: Any) -> None: ...

    def error(self, event: str, **fields: Any) -> None:
        self.errors.append({"event": event, **fields})


async def test_what_a_task_raises_is_logged_with_its_name() -> None:
    log = Heard()
    tasks = Tasks(log)

    async def fail() -> None:
        raise ValueError("broken")

    await asyncio.wait([tasks.start(fail(), "doomed")])
    await asyncio.sleep(0)
    assert len(tasks) == 0
    (error,) = log.errors
    assert error["task"] == "doomed"
    assert str(error["exc_info"]) == "broken"


async def test_closing_cancels_what_runs_and_waits_for_its_end() -> None:
    log = Heard()
    tasks = Tasks(log)
    ended = []

    async def work(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    for number in range(3):
        tasks.start(work(number), f"work {number}")
    assert len(tasks) == 3
    await asyncio.sleep(0)
    await tasks.close()
    assert sorted(ended) == [0, 1, 2]
    assert log.errors == []
