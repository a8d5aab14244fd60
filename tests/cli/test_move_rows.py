"""A tenant that stands in a table moves as one that stands in a file does, and its row says where it is."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.backup.moving import Stayed, Unclear
from proxy.backup.refusal import Refused
from proxy.cli.document import InRow, written_table
from proxy.cli.doors import RuleDoors
from proxy.fleet.control import Statistics
from proxy.settings import load_settings
from tests.cli.conftest import Run
from tests.cli.test_move import SETTING, Scene, scened
from tests.kit.postgres import Cluster
from tests.kit.tables import ROLE, tenant_table, write


@pytest.fixture
def scene(postgres15: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with tenant_table(postgres15) as control, scened(postgres15, postgres15, control) as made:
        monkeypatch.setenv(SETTING, str(made.proxy.directory / "state"))
        yield made


def control_of(scene: Scene) -> str:
    assert scene.table is not None
    return scene.table[1]


def row(scene: Scene) -> dict[str, Any]:
    text = scene.first.psql(control_of(scene), "SELECT document FROM partywall.tenants WHERE name = 'globex'")
    found: dict[str, Any] = json.loads(text)
    return found


def doors_of(scene: Scene) -> RuleDoors:
    rules = scene.proxy.directory / "rules"
    table, writer, _ = written_table(scene.asked[-1], rules)
    return RuleDoors(
        tenant="globex",
        database=scene.proxy.database,
        document=InRow(rules, table, writer, "globex", {"server": scene.to}, "draft"),
        before=json.dumps(row(scene), sort_keys=True),
        after="",
        here=scene.home(True),
        there=scene.home(False),
        settings=load_settings(None, {"state_directory": scene.proxy.directory / "state"}),
        at=(),
        max_pause=5,
        alone=True,
    )


def test_its_row_is_changed_and_every_process_goes_by_it_without_reading_the_rules_again(
    run: Run, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rows = row(scene), scene.rows(False)
    wrong = run("move", *scene.common, "--to", scene.to)
    assert (wrong.exit_code, "in a table it is changed with --table" in wrong.stderr) == (1, True), wrong.output
    assert run("move", *scene.common, "--resume", *scene.asked[2:]).exit_code == 2
    monkeypatch.setenv("ITS_PASSWORD", "a word")
    with psycopg.connect(scene.proxy.dsn("globex_app"), autocommit=True) as client:
        client.execute("SELECT count(*) FROM notes", prepare=True)
        moved = run("move", *scene.common, *scene.asked, "--password", "${env:ITS_PASSWORD}", "--max-pause", "20")
        assert moved.exit_code == 0, moved.output
        client.execute("SELECT count(*) FROM notes", prepare=True)
    assert row(scene) == before | {"server": scene.to, "password": "a word"}
    assert (scene.rows(True), scene.proxy.log.count('"rules loaded"')) == (rows, 1)
    assert "a word" not in moved.output + scene.proxy.log
    assert run("move", *scene.common, "--status").stdout.startswith("globex: moved, ")
    cleaned = run("move", *scene.common, "--clean")
    assert (cleaned.exit_code, scene.rows(False), scene.traces(True)) == (0, {}, 0), cleaned.output


async def test_what_cannot_be_switched_leaves_the_row_and_the_proxies_as_they_were(
    scene: Scene, postgres15: Cluster, tmp_path: Path
) -> None:
    doors, before = doors_of(scene), row(scene)
    await doors.ready()
    write(postgres15, control_of(scene), before | {"quotas": {"connections": 7}})
    with pytest.raises(Stayed, match=r"partywall.tenants globex was changed meanwhile; let it name .*\nglobex goes on"):
        await doors.switch()
    assert row(scene) == before | {"quotas": {"connections": 7}}
    await doors.ready()  # from what it says now
    async with doors.paused():
        await doors.switch()
    await doors.arrived()
    assert row(scene) == before | {"quotas": {"connections": 7}, "server": scene.to}
    await doors.back()
    assert row(scene) == before | {"quotas": {"connections": 7}}
    control = control_of(scene)
    await doors.ready()
    postgres15.psql(control, f"REVOKE SELECT ON partywall.tenants FROM {ROLE}")  # what it says now no proxy can tell
    with pytest.raises(Unclear, match=r"permission denied for table tenants(?s:.*)nothing of globex is written before"):
        await doors.switch()
    assert row(scene) == before | {"quotas": {"connections": 7}}
    postgres15.psql(control, f"GRANT SELECT ON partywall.tenants TO {ROLE}")
    await doors.back()
    with tenant_table(postgres15, second=True) as other:
        write(postgres15, other, row(scene))
        rules = Path(shutil.copytree(scene.proxy.directory / "rules", tmp_path / "rules"))
        text = (rules / "sample.yaml").read_text("utf-8")
        (rules / "sample.yaml").write_text(text.replace(f"/{control}?", f"/{other}?"), "utf-8")
        table, writer, _ = written_table(scene.asked[-1].replace(f"/{control}?", f"/{other}?"), rules)
        doors.document = InRow(rules, table, writer, "globex", {"server": scene.to}, "draft")
        with pytest.raises(Refused, match="the proxy here: this process does not read the table with globex's row"):
            await doors.ready()
    answer = await asyncio.to_thread(scene.proxy.ask, Statistics("globex"))
    assert answer.result["processes"][0]["homes"][scene.proxy.database]["at"] == scene.home(True)
