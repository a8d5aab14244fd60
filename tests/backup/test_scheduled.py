"""A scheduled backup of a real server: read back before it counts, sealed or not, and nothing stays of a bad one."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path

import pyrage
import pytest

from proxy.backup import scheduled
from proxy.backup.archive import members
from proxy.backup.checking import verified
from proxy.backup.inventory import Inventory
from proxy.backup.refusal import Damaged, Refused
from proxy.backup.scheduled import carry_out, prune, superfluous
from proxy.backup.schedules import Errand
from proxy.tenancy.policy import BackupRule, Keep
from tests.backup.shelf import operators, sample_grant
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample

BEGUN = 1_795_000_000
LONGEST = 3600.0


@pytest.fixture
def cluster(postgres15: Cluster) -> Cluster:
    return load_sample(postgres15)


def errand(
    cluster: Cluster, to: str, begun: int = BEGUN, keep: Keep | None = None, crashed: frozenset[int] = frozenset()
) -> Errand:
    rule = BackupRule("0 2 * * *", to, keep=keep)
    return Errand(operators(cluster, "shared"), sample_grant(cluster), rule, 7, begun, LONGEST, crashed)


def test_an_archive_is_made_read_back_and_has_a_receipt(cluster: Cluster, tmp_path: Path) -> None:
    done = asyncio.run(carry_out(errand(cluster, f"{tmp_path}/{{tenant}}"), lambda: BEGUN + 5.0))
    manifest = verified(members(done.archive))
    assert (manifest.tenant, manifest.rows, manifest.rules.generation) == ("globex", done.rows, 7)
    (one,) = Inventory(f"{tmp_path}/{{tenant}}", "globex", "shared").archives()
    assert (one.url, one.verified, one.receipt) == (done.archive, True, done.receipt)
    assert done.receipt.sha256 == hashlib.sha256(Path(done.archive).read_bytes()).hexdigest()
    assert abs(one.moment - time.time()) < 120
    assert done.receipt.seconds == 5.0


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


def _begin(inventory: Inventory, begun: int) -> None:
    from proxy.backup.labels import Label
    from proxy.backup.receipt import Receipt

    label = Label("globex", "shared", begun, sealed=False)
    inventory.begin(label, Receipt("partywall 1", label.name, "globex", "shared", begun))
