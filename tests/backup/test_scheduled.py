"""A scheduled backup of a real server: read back before it counts, sealed or not, and nothing stays of a bad one."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest

from proxy.backup import scheduled
from proxy.backup.archive import members, writing
from proxy.backup.checking import verified
from proxy.backup.inventory import Inventory
from proxy.backup.labels import Label
from proxy.backup.places import held, written
from proxy.backup.readback import Readback
from proxy.backup.refusal import Damaged, Refused
from proxy.backup.scheduled import carry_out, dead, prune, superfluous
from proxy.backup.schedules import Errand
from proxy.tenancy.policy import BackupRule, Keep
from tests.backup.links import made
from tests.backup.shelf import operators, sample_grant
from tests.backup.test_inventory import put
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample

BEGUN = 1_795_000_000
LONGEST = 3600.0
DAY = 86_400


@pytest.fixture
def cluster(postgres15: Cluster) -> Cluster:
    return load_sample(postgres15)


def errand(
    cluster: Cluster, to: str, begun: int = BEGUN, keep: Keep | None = None, crashed: frozenset[int] = frozenset()
) -> Errand:
    rule = BackupRule("0 2 * * *", to, keep=keep)
    return Errand(operators(cluster, "shared"), sample_grant(cluster), rule, 7, begun, LONGEST, crashed)


def test_an_archive_is_made_read_back_and_has_a_note(cluster: Cluster, tmp_path: Path) -> None:
    done = asyncio.run(carry_out(errand(cluster, f"{tmp_path}/{{tenant}}"), lambda: BEGUN + 5.0))
    manifest = verified(members(done.archive))
    assert (manifest.tenant, manifest.rows, manifest.rules.generation) == ("globex", done.rows, 7)
    (one,) = Inventory(f"{tmp_path}/{{tenant}}", "globex", "shared").archives()
    assert (one.url, one.verified, one.readback) == (done.archive, True, done.readback)
    assert done.readback.sha256 == hashlib.sha256(Path(done.archive).read_bytes()).hexdigest()
    assert abs(one.moment - time.time()) < 120
    assert done.readback.seconds == 5.0


def test_one_for_recipients_is_verified_without_their_secret_and_opened_with_it(cluster: Cluster) -> None:
    secret = pyrage.x25519.Identity.generate()
    plain = errand(cluster, "memory://sealed")
    rule = BackupRule("0 2 * * *", "memory://sealed", (str(secret.to_public()),))
    done = asyncio.run(carry_out(Errand(plain.place, plain.grant, rule, 1, BEGUN, LONGEST), lambda: BEGUN + 1.0))
    assert done.archive.endswith(".partywall.age")
    assert verified(members(done.archive, [secret])).rows == done.rows
    with pytest.raises(Refused, match="no identity fits"):
        verified(members(done.archive, [pyrage.x25519.Identity.generate()]))


def test_one_that_is_not_read_back_as_it_was_written_is_removed(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(target: str, keys: list[object]) -> object:
        path = Path(target)
        path.write_bytes(path.read_bytes().replace(b"data/0001", b"data/0002", 1))
        return read_back(target, keys)

    read_back = scheduled._read_back
    monkeypatch.setattr(scheduled, "_read_back", spoilt)
    with pytest.raises(Damaged):
        asyncio.run(carry_out(errand(cluster, str(tmp_path)), lambda: BEGUN + 1.0))
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_run_left_goes_before_the_next_and_what_may_be_alive_stays(
    cluster: Cluster, tmp_path: Path
) -> None:
    inventory = Inventory(str(tmp_path), "globex", "shared")
    for begun in (BEGUN - 5000, BEGUN - 50, BEGUN - 40):
        _begin(inventory, begun)
    done = asyncio.run(carry_out(errand(cluster, str(tmp_path), crashed=frozenset({BEGUN - 50})), lambda: BEGUN + 1.0))
    assert [label.begun for label, _ in inventory.orphans()] == [BEGUN - 40]
    assert [one.url for one in inventory.archives()] == [done.archive]


def test_old_ones_go_after_a_good_one_and_never_what_is_not_ours(cluster: Cluster, tmp_path: Path) -> None:
    keep = Keep(daily=1, least=2)
    foreign = tmp_path / "globex.shared.20200101T000000Z.partywall"
    foreign.write_bytes(b"somebody's")
    dones = [
        asyncio.run(carry_out(errand(cluster, str(tmp_path), BEGUN + number, keep), time.time)) for number in range(3)
    ]
    assert [one.removed for one in dones] == [(), (), (dones[0].archive,)]
    inventory = Inventory(str(tmp_path), "globex", "shared")
    assert [one.url for one in inventory.archives()] == [dones[2].archive, dones[1].archive, str(foreign)]
    rule = BackupRule("0 2 * * *", str(tmp_path), keep=Keep(least=1))
    now = time.time()
    assert superfluous(inventory, rule, now, LONGEST) == [(dones[1].archive, dones[1].archive)]
    assert prune(inventory, rule, now, LONGEST) == ([dones[1].archive], "")
    assert prune(inventory, rule, now, LONGEST) == ([], "")
    assert foreign.exists()


@pytest.mark.parametrize(("days", "how"), [(30, "behind"), (-30, "ahead of")])
def test_where_the_databases_clock_is_wrong_nothing_goes_and_it_is_told(
    cluster: Cluster, tmp_path: Path, days: int, how: str
) -> None:
    """Its moment says that the archive just made is the oldest, or that all others are."""
    begun = int(time.time()) + days * DAY
    inventory = Inventory(str(tmp_path), "globex", "shared")
    old = [put(inventory, begun - one * DAY, tenant="globex", database="shared") for one in (1, 2)]
    done = asyncio.run(carry_out(errand(cluster, str(tmp_path), begun, Keep(daily=1, least=1)), lambda: begun + 5.0))
    assert done.removed == ()
    assert re.fullmatch(rf"the database's clock is 2\d{{6}} s {how} this host's: .*", done.problem)
    assert [one.url for one in inventory.archives() if one.verified] == [done.archive, *old]


def test_old_ones_go_by_when_they_were_begun_and_never_the_one_just_made(tmp_path: Path) -> None:
    inventory = Inventory(str(tmp_path), "globex", "shared")
    rule = BackupRule("0 2 * * *", str(tmp_path), keep=Keep(daily=1, least=1))
    older, made, newer = (put(inventory, BEGUN + number, tenant="globex", database="shared") for number in range(3))
    now = BEGUN + 9.0
    assert superfluous(inventory, rule, now, LONGEST) == [(older, older), (made, made)]
    assert superfluous(inventory, rule, now, LONGEST, BEGUN + 1) == [(older, older)]
    assert superfluous(inventory, rule, BEGUN + 1.5, LONGEST) == [(older, older)]
    assert Path(newer).exists()


@pytest.mark.parametrize("form", ["file", "folder"])
def test_what_others_beside_it_build_on_stays_until_they_are_gone(tmp_path: Path, form: str) -> None:
    inventory = Inventory(str(tmp_path), "globex", "shared")
    target = _begin(inventory, BEGUN)
    before = made(Path(target), {"t": [b"1", b"2"]})
    readback = Readback("partywall 1", Path(target).name, "globex", "shared", BEGUN, BEGUN + 1.0, BEGUN + 2.0)
    inventory.keep(target, replace(readback, size=Path(target).stat().st_size))
    made(tmp_path / "changed", {"t": [b"1", b"3"]}, before)
    if form == "folder":
        with writing(f"{tmp_path}/changes/") as sink:
            for name, data in members(str(tmp_path / "changed")):
                sink.add(name, data)
        (tmp_path / "changed").unlink()
    older, newer = (put(inventory, BEGUN + number, tenant="globex", database="shared") for number in (-1, 1))
    rule = BackupRule("0 2 * * *", str(tmp_path), keep=Keep(least=1))
    now = BEGUN + 9.0
    assert prune(inventory, rule, now, LONGEST) == ([older], "")
    assert Path(newer).exists()
    shutil.rmtree(tmp_path / "changes") if form == "folder" else (tmp_path / "changed").unlink()
    assert prune(inventory, rule, now, LONGEST) == ([target], "")


def test_what_somebody_alive_writes_or_reads_back_is_not_left_by_the_dead(tmp_path: Path) -> None:
    inventory = Inventory(str(tmp_path), "globex", "shared")
    target = _begin(inventory, BEGUN)
    now = BEGUN + 2 * LONGEST
    with written(target) as file:
        file.write(b"abc")
        assert dead(inventory, now, LONGEST) == []
    with held(target):
        assert dead(inventory, now, LONGEST, frozenset({BEGUN})) == []
    assert dead(inventory, now, LONGEST) == [(target, target)]
    assert dead(inventory, BEGUN + 1.0, LONGEST) == []


def _begin(inventory: Inventory, begun: int) -> str:
    label = Label("globex", "shared", begun, sealed=False)
    return inventory.begin(label, Readback("partywall 1", label.name, "globex", "shared", begun))
