"""Many wait for one task: none of them ends it, and its end is nobody's."""

from __future__ import annotations

import asyncio

import pytest

from proxy.catalog.flight import landed


async def test_who_waits_is_told_how_it_ended() -> None:
    async def work(error: Exception | None) -> None:
        if error is not None:
            raise error

    assert await landed(asyncio.create_task(work(None)))
    with pytest.raises(ConnectionError):
        await landed(asyncio.create_task(work(ConnectionError())))


async def test_who_leaves_does_not_end_it_for_the_others_and_its_end_is_not_theirs() -> None:
    flight = asyncio.create_task(asyncio.Event().wait())
    waiting = [asyncio.create_task(landed(flight)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    assert (waiting[0].cancelled(), flight.done()) == (True, False)
    flight.cancel()
    assert await asyncio.gather(*waiting[1:]) == [False, False]
