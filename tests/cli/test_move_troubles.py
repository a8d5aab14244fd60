"""A move between two servers behind two proxies of two workers each; proxies, workers and servers are killed meanwhile.

The command is stopped at a point, something else dies there, and it goes on.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from proxy.fleet.control import Statistics
from tests.cli.conftest import TOKEN, Run
from tests.cli.journeys import PAUSE, Journey
from tests.cli.test_move import SETTING, scened
from tests.kit.killing import SEED, driver
from tests.kit.postgres import running
from tests.kit.proxy import Proxy, serving, serving_at
from tests.kit.workers import wait_ready

MAJOR = 15
KEEPING = {"synchronous_commit": "on"}  # what a client was told is committed outlives the server's death
WORKERS = {"WORKERS": "2", "ADMIN_TOKEN": TOKEN}
ENDED = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'partywall move'"
COPIED = "proxy.backup.mirroring:Mirror.copy:1:after"
FENCED = "proxy.backup.journal:turned:1:after"
SWITCHING = "proxy.cli.doors:RuleDoors.switch"
NAMED = "proxy.cli.doors:RuleDoors._write:1:after"  # the rules name the target, and no proxy goes by them
SWITCHED = "proxy.cli.doors:RuleDoors.forget"  # all of them do
OPEN = "proxy.backup.journal:turned:3:after"
REMOVED = "proxy.backup.mirroring:removed"
PHASES = (
    "proxy.backup.journal:begun:1:after",
    "proxy.backup.mirroring:Mirror._check_references",  # within the transaction of the copy
    COPIED,
    "proxy.backup.mirroring:Mirror.follow:2",
    "proxy.backup.journal:turned",  # the tenant waits
    FENCED,
    "proxy.backup.journal:turned:2:after",
    NAMED,
    SWITCHED,
    OPEN,
    "proxy.backup.journal:turned:4:after",  # it has moved, by both journals
)


class Stage:
    """Two servers and two proxies of this module's own. Those that are killed are started again at the same ports."""

    def __init__(self, stack: ExitStack, journey: Journey, folders: dict[int, Path]) -> None:
        self._stack = stack
        self._folders = folders
        self.journey = journey

    def kill(self, proxy: Proxy, worker: int | None) -> None:
        """As `kill -9` does: one of its workers, or the proxy."""
        if worker is not None:
            os.kill(proxy.worker(worker), signal.SIGKILL)
            return
        proxy.process.kill()
        proxy.process.wait(30)

    def start(self, dead: Proxy) -> None:
        """Again, in its place."""
        ports, folder = (dead.port, dead.admin_port), self._folders[dead.port]
        again = self._stack.enter_context(serving_at(ports, folder, dead.database, dead.passwords, **WORKERS))
        wait_ready(again)
        journey = self.journey
        if journey.scene.proxy is dead:
            journey.scene.proxy = again
        journey.others = [again if one is dead else one for one in journey.others]


@pytest.fixture(scope="module")
def staged(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("troubles")
    with ExitStack() as stack:
        first, second = (stack.enter_context(running(MAJOR, settings=KEEPING)) for _ in range(2))
        scene = stack.enter_context(scened(first, second, **WORKERS))
        (folder / "rules").symlink_to(scene.proxy.directory / "rules")
        one = scene.proxy
        other = stack.enter_context(serving(folder, one.database, one.passwords, **WORKERS))
        for proxy in (one, other):
            wait_ready(proxy)
        patched = stack.enter_context(pytest.MonkeyPatch.context())
        patched.setenv(SETTING, str(one.directory / "state"))
        patched.setenv("PARTYWALL_ADMIN_TOKEN", TOKEN)
        killer = stack.enter_context(driver(folder / "log"))
        at = [f"--at=http://127.0.0.1:{proxy.admin_port}" for proxy in (one, other)]
        journey = Journey(scene, run, killer, [other], tuple(at))
        yield Stage(stack, journey, {one.port: one.directory, other.port: folder})


@pytest.fixture
def stage(staged: Stage) -> Stage:
    staged.journey.steady = True
    return staged


def test_a_tenant_moves_behind_two_proxies_of_two_workers_and_no_client_notices(stage: Stage) -> None:
    journey = stage.journey
    with journey.working() as writers:
        journey.ended(*journey.go())
        assert journey.check() == "moved"
        for proxy in journey.proxies:
            processes = proxy.ask(Statistics("globex")).result["processes"]
            homes = [one["homes"][proxy.database]["at"] for one in processes]
            assert homes == [journey.scene.home(False)] * 2
        journey.ended("--clean")
        journey.turned()
        journey.finished()
        assert [(one.refused, one.unsure) for one in writers] == [(0, []), (0, [])]


def test_a_command_is_alone_with_its_move_wherever_it_stands_and_whatever_it_has_lost(
    stage: Stage, effort: int
) -> None:
    """At last its connections are ended while it stands still: who would go on then has to wait for its end."""
    journey, killer = stage.journey, stage.journey.killer

    def refused(*what: str) -> None:
        done = journey.run(*journey.arguments(*what))
        words = "is being moved" if "--to" in what else "another command is moving globex"
        assert (done.exit_code, words in done.stderr) == (1, True), (what, done.output)

    for point in (COPIED, FENCED, OPEN, SWITCHING) if effort > 1 else (SWITCHING,):
        with journey.working():
            journey.stands(point, *journey.go())
            for what in (("--resume",), ("--abort",), ("--clean",), journey.go()):
                refused(*what)
            if point == SWITCHING:
                for cluster in (journey.scene.first, journey.scene.second):
                    cluster.psql("postgres", ENDED)
                refused("--abort")
                assert killer.go_on() == 1, killer.told
                assert journey.check() == "switching"
            else:
                assert killer.go_on() == 0, killer.told
            journey.resolved(False)


def test_of_commands_that_begin_at_once_each_is_done_or_refused(stage: Stage, effort: int) -> None:
    journey, killer = stage.journey, stage.journey.killer
    for turn in range(6 if effort > 1 else 1):
        with journey.working():
            assert journey.killed(COPIED, *journey.go()) == -9
            journey.goes_on()
            first, second = [("--resume", *PAUSE), ("--abort",)][:: 1 - 2 * (turn % 2)]
            killer.start("", *journey.arguments(*first), **journey.environment)
            other = journey.run(*journey.arguments(*(second if turn < 3 else first)))
            codes = killer.ended(), other.exit_code
            assert 0 in codes, (killer.told, other.output)
            journey.resolved(True)


def went_on(journey: Journey) -> int:
    """The command goes on with what is left; its exit status."""
    status, said = journey.killer.go_on(), journey.killer.told
    assert status in (0, 1), said
    assert "Traceback" not in said, said
    return status


def ends(journey: Journey, back: bool) -> str:
    """The move comes to its end once everybody is there again; the phase that it was left in."""
    journey.goes_on()
    phase = journey.check()
    journey.resolved(back)
    return phase


def proxy_dies(point: str, worker: int | None, again: bool, stage: Stage, back: bool) -> str:
    """In the pause: that worker of a proxy or all of it, which is there again at once, or later; what came of it."""
    journey = stage.journey
    with journey.working():
        journey.stands(point, *journey.go())
        dead = journey.proxies[back]
        stage.kill(dead, worker)
        if again:
            stage.start(dead)
        status = went_on(journey)
        assert not again or status == 0, journey.killer.told
        if worker is not None:
            wait_ready(dead)
        elif not again:
            stage.start(dead)
        return f"{status}, {ends(journey, back)}"


def server_dies(point: str, what: str, at_second: bool, stage: Stage, back: bool) -> str:
    """It is stopped at once and started again; what came of it. what: the command; '': one that begins a move."""
    journey = stage.journey
    with journey.working():
        if what == "--abort":
            assert journey.killed(COPIED, *journey.go()) == -9
        elif what:
            journey.ended(*journey.go())
        journey.stands(point, *((what,) if what else journey.go()))
        cluster = journey.scene.second if at_second else journey.scene.first
        cluster.stop("immediate")
        cluster.start()
        return f"{went_on(journey)}, {ends(journey, back)}"


def troubles() -> Iterator[tuple[str, Callable[[Stage, bool], str]]]:
    """What may die, by name; as a function of the stage and of whether the move is given up where it can be."""
    for point in (FENCED, SWITCHING, NAMED, SWITCHED):
        for worker, again in ((None, False), (None, True), (1, False)):
            name = f"{'a worker' if worker else 'a proxy'} at {point}{', there again' if again else ''}"
            yield name, partial(proxy_dies, point, worker, again)
    for at_second in (False, True):
        end = "target" if at_second else "source"
        for point in PHASES:
            yield f"the {end} at {point}", partial(server_dies, point, "", at_second)
        for what in ("--abort", "--clean"):
            yield f"the {end} in {what}", partial(server_dies, REMOVED, what, at_second)


def test_something_else_dies_while_a_tenant_moves_and_it_has_one_home(stage: Stage, effort: int) -> None:
    stage.journey.steady = False
    draw = random.Random(SEED)
    known = list(troubles())
    for name, happens in draw.sample(known, len(known) if effort > 1 else 1):
        print(f"seed {SEED}: {name}", end=": ", flush=True)
        print(happens(stage, draw.random() < 0.5))
