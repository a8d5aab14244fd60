"""A move whose command is killed anywhere: one place takes the tenant's writes or none does, and both ways lead on."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.fleet.control import Resume
from tests.backup.points import ROW
from tests.cli.conftest import Run
from tests.cli.test_move import SETTING, Scene, scened
from tests.kit.killing import Driver, driver
from tests.kit.postgres import Cluster
from tests.kit.tables import tenant_table

SEED = 20261126
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing?sslmode=disable"
# Whether the move can still be given up there.
POINTS = {
    "proxy.backup.journal:begun": True,
    "proxy.backup.journal:begun:1:after": True,
    "proxy.backup.moving:logged:5": True,
    "proxy.backup.mirroring:Mirror.copy": True,
    "proxy.backup.mirroring:Mirror._check_references": True,
    "proxy.backup.mirroring:Mirror.copy:1:after": True,
    "proxy.backup.mirroring:Mirror.follow": True,
    "proxy.backup.mirroring:Mirror.follow:2:after": True,
    "proxy.backup.moving:_Moving.guard": True,
    "proxy.backup.moving:_Moving.guard:1:after": True,
    "proxy.cli.doors:RuleDoors.ready:2:after": True,
    "proxy.backup.journal:turned": True,  # while it waits
    "proxy.backup.journal:turned:1:after": True,  # the source is fenced
    "proxy.backup.mirroring:Mirror.passed:2": True,
    "proxy.backup.journal:turned:2:after": True,
    "proxy.cli.doors:RuleDoors.switch": True,
    "proxy.cli.doors:RuleDoors._write:1:after": True,  # the rules name the target
    "proxy.cli.doors:RuleDoors.forget": True,  # and the proxy goes by them
    "proxy.backup.journal:turned:3:after": False,  # the target is open
    "proxy.backup.journal:turned:4:after": False,
    "proxy.backup.moving:unlogged": False,
}


@pytest.fixture
def scene(postgres15: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with scened(postgres15, postgres15) as made:
        monkeypatch.setenv(SETTING, str(made.proxy.directory / "state"))
        yield made


def back(point: str) -> bool:
    """Can it still be given up there?"""
    return POINTS.get(point, True)


def go(scene: Scene, killer: Driver, point: str) -> None:
    setting = {SETTING: str(scene.proxy.directory / "state")}
    status = killer.run(point, "move", *scene.common, *scene.asked, "--max-pause", "30", **setting)
    assert status == -9, (point, killer.told)


def works(scene: Scene, note: int) -> None:
    """It writes and reads as it did, through the proxy."""
    with scene.proxy.connect("globex_app") as client:
        done = client.simple(f"INSERT INTO notes (id, body) VALUES ({note}, 'afterwards')")
        assert done.errors == []
        assert client.simple(f"SELECT body FROM notes WHERE id = {note}").rows == [(b"afterwards",)]


def test_killed_anywhere_it_has_one_home_and_goes_on_or_back(
    run: Run, scene: Scene, tmp_path: Path, effort: int
) -> None:
    draw = random.Random(SEED)
    check(run, scene, tmp_path, draw.sample(sorted(POINTS), min(len(POINTS), 4 * effort)))


def test_so_it_has_where_its_document_is_in_a_table(
    run: Run, postgres15: Cluster, tmp_path: Path, effort: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(SEED)
    with tenant_table(postgres15) as control, scened(postgres15, postgres15, control) as scene:
        monkeypatch.setenv(SETTING, str(scene.proxy.directory / "state"))
        check(run, scene, tmp_path, draw.sample(ROW, min(len(ROW), effort)))


def check(run: Run, scene: Scene, tmp_path: Path, points: list[str]) -> None:
    with driver(tmp_path / "log") as killer:
        for turn, point in enumerate(points):
            rows = scene.rows(False)
            go(scene, killer, point)
            scene.proxy.ask(Resume())  # as if the time of the pause were over
            homes = [scene.takes(False), scene.takes(True)]
            assert homes.count(True) <= 1 or not scene.rows(True), (point, homes)
            status = run("move", *scene.common, "--status", "--json")
            assert (status.exit_code, json.loads(status.stdout)["home"] == scene.home(back(point))) == (0, True), point
            if json.loads(status.stdout)["phase"] == "switching":  # nobody knows without asking the target
                away = run("move", *scene.common, "--to-server", NOWHERE, "--status", "--json")
                assert (away.exit_code, json.loads(away.stdout)["home"]) == (0, None), point
            given_up = run("move", *scene.common, "--abort") if back(point) and turn % 2 == 0 else None
            if given_up is not None:
                assert given_up.exit_code == 0, (point, given_up.output)
                assert (scene.takes(False), scene.rows(True), scene.rows(False)) == (True, {}, rows), point
                assert (scene.traces(False), scene.traces(True)) == (0, 0), point
            else:
                refused = None if back(point) else run("move", *scene.common, "--abort")
                assert refused is None or (refused.exit_code, "has moved" in refused.stderr) == (1, True), point
                done = run("move", *scene.common, "--resume", "--max-pause", "30")
                if done.exit_code:  # all but the last word was said
                    assert "has moved to" in done.stderr, (point, done.output)
                assert (scene.takes(False), scene.takes(True), scene.rows(True)) == (False, True, rows), point
                cleaned = run("move", *scene.common, "--clean")
                assert cleaned.exit_code == 0, (point, cleaned.output)
                assert (scene.traces(False), scene.traces(True)) == (0, 0), point
                there = (scene.second, scene.there, scene.first, scene.here)
                scene = replace(scene, first=there[0], here=there[1], second=there[2], there=there[3])
            works(scene, 5000 + turn)
            assert not (scene.proxy.directory / "state" / "moves").exists() or not list(
                (scene.proxy.directory / "state" / "moves").iterdir()
            ), point
