"""Scheduled backups of a whole proxy: made, read back, told; one process of several makes them."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from proxy.app.backups import LOCK, Backups, Turn, asked
from proxy.backup.schedules import BackupFailedError
from proxy.settings import load_settings
from tests.backup.shelf import book_of
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rules import sample_rules
from tests.kit.sample import load_sample

SECONDS = 90.0
NIGHT = '{{schedule: "0 2 * * *", to: "{to}/{{tenant}}", keep: {{daily: 7}}}}'


def rules_with(port: int, backups: str) -> str:
    """The sample's, with this of its database."""
    text = sample_rules(port, "shared")
    return text.replace("database: shared\n", f"database: shared\nbackups: {backups}\n", 1)


def events(proxy: Proxy, name: str) -> list[dict[str, object]]:
    """The lines of the audit trail of this event."""
    lines = [json.loads(line) for line in proxy.log.splitlines() if line.startswith("{") and line.endswith("}")]
    return [one for one in lines if one["event"] == name and one["part"] == "audit"]


def metric(proxy: Proxy, name: str, tenant: str) -> float | None:
    found = re.search(rf'^{name}{{database="shared",tenant="{tenant}"}} (\S+)$', proxy.metrics(), re.MULTILINE)
    return None if found is None else float(found[1])


def test_a_schedule_makes_archives_that_are_verified_told_counted_and_follow_the_rules(
    postgres15: Cluster, tmp_path: Path
) -> None:
    """Two workers, of which one makes them; then new rules, under which one tenant has none, and one cannot be."""
    rules = rules_with(load_sample(postgres15).port, NIGHT.format(to=tmp_path))
    with running_proxy(postgres15.port, rules=rules, BACKUP_SPREAD="0", WORKERS="2") as proxy:
        assert eventually(lambda: len(events(proxy, "backup made")) == 3, SECONDS), proxy.log
        made = {str(one["tenant"]): one for one in events(proxy, "backup made")}
        assert set(made) == {"acme", "globex", "initech"}
        verified = proxy.command("verify", str(made["globex"]["archive"]))
        assert "globex in shared (row), as of" in verified.stdout, verified.stderr
        age = metric(proxy, "partywall_backup_age_seconds", "globex")
        assert age is not None
        assert age < SECONDS
        assert metric(proxy, "partywall_backup_last_bytes", "globex") == made["globex"]["size"]
        assert metric(proxy, "partywall_backup_failures_total", "globex") == 0
        sample = proxy.directory / "rules" / "sample.yaml"
        text = sample.read_text("utf-8").replace("tenant: acme\n", "tenant: acme\nbackups: false\n")
        text = text.replace("tenant: globex\n", f'tenant: globex\nbackups: {{to: "{tmp_path}/mount/x"}}\n')
        sample.write_text(text, "utf-8")
        proxy.reload_whole()
        assert eventually(lambda: metric(proxy, "partywall_backup_age_seconds", "globex") == float("inf"), SECONDS)
        assert metric(proxy, "partywall_backup_age_seconds", "acme") is None
        (failed,) = events(proxy, "backup failed")
        assert failed["problems"] == [f"{tmp_path}/mount/x is not there: make the folder, or mount its disk"]
        assert metric(proxy, "partywall_backup_failures_total", "globex") == 1
    with running_proxy(postgres15.port, rules=rules, BACKUP_SPREAD="0") as proxy:
        assert eventually(lambda: metric(proxy, "partywall_backup_age_seconds", "acme") is not None, SECONDS)
        assert metric(proxy, "partywall_backup_last_bytes", "acme") == made["acme"]["size"]
        assert events(proxy, "backup made") == []
    assert len(list((tmp_path / "acme").iterdir())) == 2


def test_one_process_at_a_time_has_the_turn(tmp_path: Path) -> None:
    one, other = (Turn(tmp_path / "state" / "backups.lock") for _ in range(2))
    assert one()
    assert one()
    assert not other()
    one.close()
    assert other()
    other.close()


def test_a_process_that_fails_or_takes_too_long_is_a_failure() -> None:
    with pytest.raises(BackupFailedError, match="its process ended with status 1: ") as crashed:
        asyncio.run(asked("nonsense", 60.0))
    assert crashed.value.crashed
    with pytest.raises(BackupFailedError, match=r"it took longer than 0\.01 s"):
        asyncio.run(asked([], 0.01))


@pytest.mark.parametrize(("host", "number", "chosen"), [(0, 0, True), (0, 1, False), (3, 0, False)])
async def test_the_first_worker_of_the_chosen_host_makes_them(
    tmp_path: Path, host: int, number: int, chosen: bool
) -> None:
    """One whose folder is not there, so that nothing but a look begins."""
    book = book_of(rules_with(1, NIGHT.format(to=tmp_path / "mount")))
    backups = Backups(load_settings(None, {"host_id": host, "state_directory": tmp_path / "state"}), number)
    backups.follow(book)
    await asyncio.sleep(0)
    assert (tmp_path / "state" / LOCK).exists() is chosen
    await backups.close()
