"""Rules are read by a process of their own while the loop goes on, whole or not at all."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from benchmarks.tenants import load_seconds
from proxy.errors import ConfigurationError
from proxy.fleet.reading import read_beside
from proxy.tenancy.load import load
from proxy.tenancy.rulebook import RuleBook
from tests.kit.rules import sample_rules


@pytest.fixture
def before(tmp_path: Path) -> RuleBook:
    (tmp_path / "sample.yaml").write_text(sample_rules(5432, "shared"), encoding="utf-8")
    return load(tmp_path, {}, 4)


async def test_the_next_book_comes_while_the_loop_goes_on(before: RuleBook, tmp_path: Path) -> None:
    turns = 0

    async def turning() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(turning())
    book = await read_beside(tmp_path, {}, before)
    other.cancel()
    assert book.generation == 5
    assert book.grants == before.grants
    assert all(one is before.grants[name] for name, one in book.grants.items())
    assert turns > 10


async def test_every_problem_is_told_as_if_it_had_been_loaded_here(before: RuleBook, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("tenant: a\ncolour: red\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as beside:
        await read_beside(tmp_path, {}, before)
    with pytest.raises(ConfigurationError) as here:
        load(tmp_path, {}, 5)
    assert beside.value.problems == here.value.problems


@pytest.mark.parametrize("program", ["/bin/false", "/nowhere/python"])
async def test_a_process_that_fails_is_a_problem_like_others(
    before: RuleBook, tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(ConfigurationError, match="the process that reads the rules failed"):
        await read_beside(tmp_path, {}, before)


async def test_who_stops_waiting_ends_the_process(before: RuleBook, tmp_path: Path) -> None:
    """The test's own loop would warn of a process that is left behind."""
    reading = asyncio.create_task(read_beside(tmp_path, {}, before))
    for _ in range(3):
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


def test_the_benchmark_loads_its_tenants_from_one_file_and_from_many() -> None:
    assert min(load_seconds(20)) > 0
