"""A move between modes in one database, of which the command is killed: one place takes the writes, or none does."""

from __future__ import annotations

import json
import random
from pathlib import Path

from proxy.fleet.control import Resume
from tests.backup.modes import OWN_ROLE
from tests.cli.conftest import Run
from tests.cli.test_move_mode import Scene, scene
from tests.kit.killing import driver

SEED = 20261126
__all__ = ["scene"]  # the fixture
# Whether the move can still be given up there.
POINTS = {
    "proxy.backup.journal:begun:2": True,  # of the arrival, with the copy
    "proxy.backup.holding:held:2:after": True,
    "proxy.backup.moving:_Moving.guard:1:after": True,
    "proxy.backup.mirroring:Mirror.copy:1:after": True,
    "proxy.backup.journal:turned:1:after": True,  # the source is fenced
    "proxy.backup.advancing:set_on": True,
    "proxy.cli.doors:RuleDoors.switch": True,
    "proxy.cli.doors:RuleDoors.forget": True,  # the proxy goes by the new rules
    "proxy.backup.journal:turned:3:after": False,  # the target is open
    "proxy.backup.moving:unlogged": False,
}


def test_killed_anywhere_it_has_one_home_and_goes_on_or_back(
    run: Run, scene: Scene, tmp_path: Path, effort: int
) -> None:
    draw = random.Random(SEED)
    into = ("--mode", "schema", "--schema", "globex", "--login", OWN_ROLE, "--max-pause", "30")
    state = {"PARTYWALL_STATE_DIRECTORY": str(scene.proxy.directory / "state")}
    here, there = scene.here, scene.there
    neighbours = here.rows(1)
    with driver(tmp_path / "log") as killer:
        for turn, point in enumerate(draw.sample(sorted(POINTS), min(len(POINTS), 2 * effort))):
            rows = here.rows()
            assert killer.run(point, *scene.common, *into, **state) == -9, (point, killer.told)
            scene.proxy.ask(Resume())  # as if the time of the pause were over
            homes = [here.takes(), there.takes()]
            assert homes.count(True) <= 1 or not there.rows(), (point, homes)
            phase = json.loads(run(*scene.common, "--status", "--json").stdout)
            assert phase["home"].endswith(", schema globex") is not POINTS[point], (point, phase)
            if POINTS[point] and turn % 2 == 0:
                given_up = run(*scene.common, "--abort")
                assert given_up.exit_code == 0, (point, given_up.output)
            else:
                done = run(*scene.common, "--resume", "--max-pause", "30")
                assert done.exit_code == 0 or "has moved to" in done.stderr, (point, done.output)
                assert (here.takes(), there.takes(), there.rows()) == (False, True, rows), point
                assert run(*scene.common, "--clean").exit_code == 0, point
                back = run(*scene.common, "--mode", "row", "--max-pause", "30")
                assert back.exit_code == 0, (point, back.output)
                assert run(*scene.common, "--clean").exit_code == 0, point
            assert (here.rows(), there.rows(), here.takes(), here.traces()) == (rows, [], True, 0), point
        assert here.rows(1) == neighbours
