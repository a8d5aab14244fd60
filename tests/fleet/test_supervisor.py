"""A supervisor keeps as many workers as it was told, and one that cannot live costs nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.fleet import supervisor as module
from proxy.fleet.control import Ping
from proxy.fleet.supervisor import Supervisor, WorkerFailed
from tests.kit.builders import Recorder

# Answers at the door of its first argument until SIGTERM; the second is what it does besides.
PROGRAM = """
import asyncio, pathlib, signal, socket, sys
from proxy.fleet.channel import ControlDoor
from proxy.fleet.control import Answer

async def main(path, does):
    if does == "dies":
        sys.exit(7)
    over, told = asyncio.Event(), []
    def tell():
        told.append(1)
        over.set()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, tell)
    if does != "deaf":
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        async def answer(request):
            return Answer({"state": "serving"})
        await ControlDoor(answer, None).start(listening)
    await over.wait()
    if does == "drains":
        pathlib.Path(path + ".draining").touch()
        while len(told) == 1 and not pathlib.Path(path + ".drained").exists():
            await asyncio.sleep(0.01)
        sys.exit(3 if len(told) > 1 else 0)
    sys.exit(3 if does == "cut" else 0)

asyncio.run(main(*sys.argv[1:]))
"""


class House:
    """A supervisor of such processes. does: what the next one does, by number."""

    def __init__(self, folder: Path, count: int, timeout: float = 20.0) -> None:
        self.folder = folder
        self.does: dict[int, str] = {}
        self.started: list[int] = []
        self.gone: list[int] = []
        self.log = Recorder()
        self.processes: list[Process] = []
        self.may = asyncio.Event()  # processes be had
        self.may.set()
        doors = tuple(str(folder / str(number)) for number in range(count))
        self.supervisor = Supervisor(doors, self._launch, self.gone.append, self.log, timeout)

    async def _launch(self, number: int) -> Process:
        self.started.append(number)
        path = self.folder / str(number)
        path.unlink(missing_ok=True)
        await self.may.wait()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, str(path), self.does.get(number, ""), stdin=PIPE
        )
        self.processes.append(process)
        return process

    async def starting(self) -> None:
        """Its only worker has died, and the next is being started until `may` is set."""
        self.may.clear()
        self.processes[-1].kill()
        await until(lambda: len(self.started) > len(self.processes))

    async def draining(self) -> asyncio.Task[bool]:
        """Its only worker is being replaced, and drains until drained(); who is told twice ends with 3."""
        replacing = asyncio.create_task(self.supervisor.restart(60.0))
        await until((self.folder / "0.draining").exists)
        self.does[0] = ""
        return replacing

    def drained(self) -> None:
        (self.folder / "0.drained").touch()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.01)


async def test_all_serve_and_answer_and_end_when_they_are_told_to(tmp_path: Path) -> None:
    house = House(tmp_path, 3)
    async with asyncio.timeout(60):
        await house.supervisor.start()
        assert house.supervisor.unready is None
        assert [one.result for one in await house.supervisor.each(Ping())] == [{"state": "serving"}] * 3
        assert await house.supervisor.stop(1.0)
    assert house.started == [0, 1, 2]
    assert sorted(house.gone) == [0, 1, 2]
    assert house.supervisor.unready == "draining"


async def test_an_end_is_whole_only_when_it_was_at_every_worker(tmp_path: Path) -> None:
    house = House(tmp_path, 2)
    house.does[1] = "cut"
    async with asyncio.timeout(60):
        await house.supervisor.start()
        assert not await house.supervisor.stop(1.0)


async def test_a_first_worker_that_cannot_serve_ends_the_start_before_a_second_is_tried(tmp_path: Path) -> None:
    house = House(tmp_path, 2)
    house.does[0] = "dies"
    async with asyncio.timeout(60):
        with pytest.raises(WorkerFailed, match="worker 0 ended with status 7"):
            await house.supervisor.start()
        await house.supervisor.stop(1.0)
    assert set(house.started) == {0}


async def test_one_that_dies_is_started_again_later_and_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.4)
    house = House(tmp_path, 2)
    async with asyncio.timeout(60):
        await house.supervisor.start()
        house.does[1] = "dies"
        process = house.supervisor.workers[1].process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: house.supervisor.workers[1].deaths == 5)
        assert house.supervisor.unready == "worker 1 does not serve"
        waits = [fields["again_in"] for _, event, fields in house.log.events if event == "worker ended"]
        assert waits[:5] == [0.1, 0.2, 0.4, 0.4, 0.4]
        house.does[1] = ""
        await until(lambda: house.supervisor.unready is None)
        assert house.supervisor.restarts >= 5
        await house.supervisor.stop(1.0)


async def test_one_that_does_not_answer_is_killed(tmp_path: Path) -> None:
    house = House(tmp_path, 1, timeout=0.5)
    async with asyncio.timeout(60):
        await house.supervisor.start()
        process = house.supervisor.workers[0].process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        await until(lambda: house.gone)
        assert ("worker hangs", process.pid) in [(event, fields["pid"]) for _, event, fields in house.log.events]
        await until(lambda: house.supervisor.unready is None)
        await house.supervisor.stop(1.0)


async def test_one_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE", 0.2)
    house = House(tmp_path, 1)
    async with asyncio.timeout(60):
        await house.supervisor.start()
        process = house.supervisor.workers[0].process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)  # and so deaf to SIGTERM
        assert not await house.supervisor.stop(0.0)
        assert process.returncode == -signal.SIGKILL


async def test_workers_are_replaced_one_after_the_other_which_is_no_death(tmp_path: Path) -> None:
    house = House(tmp_path, 2)
    async with asyncio.timeout(60):
        await house.supervisor.start()
        before = [one.process for one in house.supervisor.workers]
        assert await house.supervisor.restart(5.0)
        assert house.started == [0, 1, 0, 1]
        assert house.supervisor.restarts == 0
        assert not {id(one.process) for one in house.supervisor.workers} & {id(one) for one in before}
        await house.supervisor.stop(1.0)


async def test_where_no_process_can_be_had_it_is_tried_again(tmp_path: Path) -> None:
    house = House(tmp_path, 1)
    launch, refusals = house.supervisor._launch, [OSError("no memory")]

    async def refusing(number: int) -> Process:
        if house.supervisor.workers[0].process is not None and refusals:
            raise refusals.pop()
        return await launch(number)

    house.supervisor._launch = refusing
    async with asyncio.timeout(60):
        await house.supervisor.start()
        process = house.supervisor.workers[0].process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: not refusals)
        await until(lambda: house.supervisor.unready is None)
        assert "worker could not be started" in [event for _, event, _ in house.log.events]
        await house.supervisor.stop(1.0)


async def test_an_end_reaches_the_worker_that_is_being_started_meanwhile(tmp_path: Path) -> None:
    house = House(tmp_path, 1)
    async with asyncio.timeout(60):
        await house.supervisor.start()
        await house.starting()
        stopping = asyncio.create_task(house.supervisor.stop(1.0))
        await until(lambda: house.supervisor.unready == "draining")
        house.may.set()
        await stopping
    assert len(house.processes) == 2
    assert None not in [one.returncode for one in house.processes]


async def test_an_end_reaches_the_very_first_worker_while_it_is_being_started(tmp_path: Path) -> None:
    house = House(tmp_path, 1)
    house.may.clear()
    async with asyncio.timeout(60):
        starting = asyncio.create_task(house.supervisor.start())
        await until(lambda: house.started)
        stopping = asyncio.create_task(house.supervisor.stop(1.0))
        await until(lambda: house.supervisor.unready == "draining")
        house.may.set()
        await stopping
        with pytest.raises(WorkerFailed):
            await starting
    assert None not in [one.returncode for one in house.processes]


async def test_workers_that_are_being_replaced_are_not_told_again_to_leave(tmp_path: Path) -> None:
    house = House(tmp_path, 1)
    house.does[0] = "drains"
    async with asyncio.timeout(60):
        await house.supervisor.start()
        replacing = await house.draining()
        assert not await house.supervisor.restart(60.0)
        assert "workers are being replaced already" in [event for _, event, _ in house.log.events]
        house.drained()
        assert await replacing
        assert [one.returncode for one in house.processes] == [0, None]
        assert await house.supervisor.restart(60.0)  # another one after it
        assert [one.returncode for one in house.processes] == [0, 0, None]
        assert house.supervisor.restarts == 0
        await house.supervisor.stop(1.0)


async def test_an_end_leaves_the_worker_that_drains_already_its_time(tmp_path: Path) -> None:
    house = House(tmp_path, 1)
    house.does[0] = "drains"
    async with asyncio.timeout(60):
        await house.supervisor.start()
        replacing = await house.draining()
        stopping = asyncio.create_task(house.supervisor.stop(60.0))
        await until(lambda: house.supervisor.unready == "draining")
        house.drained()
        assert await stopping
        assert not await replacing
    assert [one.returncode for one in house.processes] == [0]


async def test_a_death_after_a_replacement_that_found_no_worker_counts_as_one(tmp_path: Path) -> None:
    house = House(tmp_path, 1)
    async with asyncio.timeout(60):
        await house.supervisor.start()
        await house.starting()
        replacing = asyncio.create_task(house.supervisor.restart(1.0))
        house.may.set()
        assert await replacing
        house.processes[-1].kill()
        await until(lambda: len(house.processes) == 3)
        assert house.supervisor.restarts == 2
        await house.supervisor.stop(1.0)
