"""`partywall backups`: what there is and who has none, and the end of what the rules do not keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.backup.inventory import Inventory
from tests.backup.test_inventory import put
from tests.cli.conftest import Run

RULES = """\
database: shop
server: postgresql://app@db/shop
tenant_column: tenant_id
backups: {{schedule: "0 2 * * *", to: "{to}/{{tenant}}", keep: {{daily: 2, least: 1}}}}
---
tenant: acme
key: 1
databases: [shop]
---
tenant: globex
key: 2
databases: [shop]
"""
BEGUN = 1_700_000_000
DAY = 86_400


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Rules, and a folder with four archives of one tenant, of which one was not verified."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "rules" / "rules.yaml").write_text(RULES.format(to=tmp_path / "to"), "utf-8")
    inventory = Inventory(f"{tmp_path}/to/{{tenant}}", "acme", "shop")
    for day in range(3):
        put(inventory, BEGUN + day * DAY)
    put(inventory, BEGUN + 3 * DAY, size=4)
    return tmp_path


def test_archives_are_listed_with_who_has_none(run: Run, shelf: Path) -> None:
    rules = ("--rules", str(shelf / "rules"))
    listed = run("backups", "list", *rules)
    assert listed.exit_code == 0, listed.output
    header, *lines = (one.split() for one in listed.stdout.splitlines())
    assert header == ["tenant", "database", "moment", "size", "verified", "archive"]
    assert [(one[0], one[2]) for one in lines] == [
        ("acme", "2023-11-17T22:13:21Z"),
        ("acme", "2023-11-16T22:13:21Z"),
        ("acme", "2023-11-15T22:13:21Z"),
        ("acme", "2023-11-14T22:13:21Z"),
        ("globex", "never"),
    ]
    assert [one[5] for one in lines[:4]] == ["no", "yes", "yes", "yes"]
    found = json.loads(run("backups", "list", *rules, "--json", "--tenant", "acme").stdout)
    assert [(one["verified"], one["sha256"]) for one in found] == [(False, None)] + [(True, "ab")] * 3
    assert found[1]["archive"] == f"{shelf}/to/acme/acme.shop.20231116T221320Z.partywall"
    assert json.loads(run("backups", "list", *rules, "--json", "--tenant", "globex").stdout) == []


def test_what_is_not_kept_goes_after_it_was_shown(run: Run, shelf: Path) -> None:
    rules = ("--rules", str(shelf / "rules"))
    old = f"{shelf}/to/acme/acme.shop.20231114T221320Z.partywall"
    shown = run("backups", "prune", "--dry-run", *rules)
    assert (shown.exit_code, shown.stdout) == (0, f"would remove {old}\n")
    assert Path(old).exists()
    done = run("backups", "prune", "--json", *rules)
    assert json.loads(done.stdout) == {"dry_run": False, "removed": [old]}
    assert not Path(old).exists()
    assert run("backups", "prune", *rules).stdout == "nothing to remove\n"
    assert len(list((shelf / "to" / "acme").iterdir())) == 6


def test_a_place_that_is_away_is_told_and_the_others_are_listed(run: Run, shelf: Path) -> None:
    rules = shelf / "rules" / "rules.yaml"
    away = f'tenant: globex\nbackups: {{to: "{shelf}/mount"}}'
    rules.write_text(rules.read_text("utf-8").replace("tenant: globex", away), "utf-8")
    listed = run("backups", "list", "--rules", str(shelf / "rules"))
    assert listed.exit_code == 1
    assert listed.stdout.count("acme ") == 4
    assert listed.stderr == f"{shelf}/mount is not there: make the folder, or mount its disk\n"


def test_rules_without_backups_are_told(run: Run, sample: str) -> None:
    for command in ("list", "prune"):
        done = run("backups", command, "--rules", sample)
        assert done.exit_code == 1
        assert "the rules have no backups for anybody of that name" in done.stderr
