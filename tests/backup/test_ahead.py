"""What a thread gives one step ahead is all of it, in its order, and the generator is closed whatever becomes of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import aclosing

import pytest

from proxy.backup.ahead import ahead


class Source:
    """Numbers, and what became of who counts."""

    def __init__(self, end: int, fails: bool = False) -> None:
        self.end = end
        self.fails = fails
        self.made = 0
        self.closed = False
        self.two = threading.Event()

    def numbers(self) -> Generator[int]:
        try:
            for number in range(1, self.end + 1):
                self.made = number
                if number == 2:
                    self.two.set()
                yield number
            if self.fails:
                raise OSError("the end is missing")
        finally:
            self.closed = True


async def taken(source: Source, until: int = 1000) -> list[int]:
    found = []
    async with aclosing(ahead(source.numbers())) as coming:
        async for one in coming:
            found.append(one)
            if one == until:
                break
    return found


def test_all_of_it_comes_in_its_order() -> None:
    source = Source(50)
    assert asyncio.run(taken(source)) == list(range(1, 51))
    assert source.closed


def test_the_next_one_is_made_while_the_caller_has_the_one_before() -> None:
    source = Source(3)

    async def first_only() -> bool:
        async with aclosing(ahead(source.numbers())) as coming:
            assert await anext(coming) == 1
            return await asyncio.to_thread(source.two.wait, 30)

    assert asyncio.run(first_only())
    assert (source.made, source.closed) == (2, True)


def test_an_error_is_told_after_what_was_before_it() -> None:
    source = Source(2, fails=True)
    with pytest.raises(OSError, match="the end is missing"):
        asyncio.run(taken(source))
    assert source.closed


def test_who_stops_in_the_middle_leaves_nothing_open() -> None:
    source = Source(9, fails=True)
    assert asyncio.run(taken(source, until=9)) == list(range(1, 10))
    assert source.closed


def test_who_is_cancelled_leaves_nothing_open() -> None:
    source, gate = Source(0), threading.Event()

    def slow() -> Generator[int]:
        try:
            yield 1
            gate.wait(30)
            yield 2
        finally:
            source.closed = True

    async def cancelled() -> None:
        first = asyncio.Event()

        async def work() -> None:
            async with aclosing(ahead(slow())) as coming:
                async for _ in coming:
                    first.set()

        task = asyncio.create_task(work())
        await first.wait()
        task.cancel()
        await asyncio.sleep(0)  # now it waits for the thread
        assert not source.closed
        gate.set()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(cancelled())
    assert source.closed
