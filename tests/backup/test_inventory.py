"""What is at a place: ours is known again, others' is never touched, and a disk that is not there is no empty one."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.backup.inventory import Archive, Inventory
from proxy.backup.labels import Label
from proxy.backup.places import written
from proxy.backup.readback import Readback
from proxy.backup.refusal import Refused

BEGUN = 1_795_000_000


def put(
    inventory: Inventory,
    begun: int,
    size: int = 3,
    verified: bool = True,
    tenant: str = "acme",
    database: str = "shop",
) -> str:
    """An archive of three bytes, with a note that says so or something else."""
    label = Label(tenant, database, begun, sealed=False)
    readback = Readback("partywall 1", label.name, tenant, database, begun)
    target = inventory.begin(label, readback)
    with written(target) as file:
        file.write(b"abc")
    if verified:
        inventory.keep(target, replace(readback, moment=begun + 1.0, verified=begun + 2.0, size=size, sha256="ab"))
    return target


@pytest.fixture(params=["file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder, and a folder of an object store."""
    return str(tmp_path) if request.param == "file" else f"memory:///{uuid.uuid4().hex}"


@pytest.mark.parametrize("below", ["", "/{tenant}", "/{year}/{tenant}/{month}"])
def test_archives_are_found_the_newest_first_and_those_of_others_are_not(place: str, below: str) -> None:
    inventory = Inventory(f"{place}{below}", "acme", "shop")
    assert inventory.archives() == []
    assert inventory.newest(BEGUN) is None
    urls = [put(inventory, BEGUN + number * 40 * 86_400) for number in range(3)]
    put(Inventory(f"{place}{below}", "globex", "shop"), BEGUN, tenant="globex")
    found = inventory.archives()
    assert [one.url for one in found] == urls[::-1]
    assert all(one.verified and one.size == 3 for one in found)
    assert inventory.needed() == frozenset()
    newest = inventory.newest(BEGUN + 50 * 86_400)
    assert newest is not None
    assert (newest.url, newest.moment) == (urls[1], BEGUN + 40 * 86_400 + 1.0)


def test_what_has_no_readback_note_or_another_length_does_not_count(place: str) -> None:
    inventory = Inventory(place, "acme", "shop")
    put(inventory, BEGUN, size=4)
    put(inventory, BEGUN + 1, verified=False)
    bare = put(inventory, BEGUN + 2)
    inventory._system.rm(f"{inventory.archives()[0].path}.readback")
    assert [one.verified for one in inventory.archives()] == [False, False, False]
    (path,) = [one.path for one in inventory.archives() if one.url == bare]
    assert inventory.archives()[0] == Archive(Label("acme", "shop", BEGUN + 2, False), path, bare, 3, None)
    assert inventory.newest(BEGUN + 9) is None


def test_an_archive_goes_with_its_note_and_with_what_was_left_of_its_writing(tmp_path: Path) -> None:
    inventory = Inventory(str(tmp_path), "acme", "shop")
    target = Path(put(inventory, BEGUN))
    other = Path(put(inventory, BEGUN + 1))
    (tmp_path / f".{target.name}.77.partial").write_bytes(b"half")
    (tmp_path / "mine.txt").write_bytes(b"mine")
    assert target.stat().st_mode & 0o777 == 0o600
    assert Path(f"{target}.readback").stat().st_mode & 0o777 == 0o600
    inventory.remove(str(target))
    assert {one.name for one in tmp_path.iterdir()} == {"mine.txt", other.name, f"{other.name}.readback"}


def test_a_note_without_its_archive_is_an_orphan(place: str) -> None:
    inventory = Inventory(place, "acme", "shop")
    label = Label("acme", "shop", BEGUN, sealed=True)
    inventory.begin(label, Readback("partywall 1", label.name, "acme", "shop", BEGUN))
    put(inventory, BEGUN + 1)
    ((found, path),) = inventory.orphans()
    assert found == label
    inventory.remove(path)
    assert inventory.orphans() == []
    assert len(inventory.archives()) == 1


def test_nothing_is_begun_in_the_place_of_another(place: str) -> None:
    inventory = Inventory(place, "acme", "shop")
    put(inventory, BEGUN)
    with pytest.raises(Refused, match="exists already"):
        put(inventory, BEGUN)


def test_a_folder_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    inventory = Inventory(f"{tmp_path}/mount/{{tenant}}", "acme", "shop")
    for act in (inventory.archives, inventory.orphans, lambda: put(inventory, BEGUN)):
        with pytest.raises(Refused, match="mount is not there: make the folder, or mount its disk"):
            act()
    (tmp_path / "mount").mkdir()
    put(inventory, BEGUN)
    assert (tmp_path / "mount" / "acme").stat().st_mode & 0o777 == 0o700


def test_a_store_that_cannot_be_reached_is_a_reason_and_no_crash() -> None:
    with pytest.raises(Refused, match="nosuchstore"):
        Inventory("nosuchstore://b/{tenant}", "acme", "shop")
