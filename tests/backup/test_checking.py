"""An archive that is not as it was written is refused, whatever was done to it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.backup.archive import finish, members, packed, unpacked, writing
from proxy.backup.checking import verified
from proxy.backup.manifest import MANIFEST, SEAL, Manifest, Member, RelationForm, decode, encode, seal
from proxy.backup.refusal import Damaged
from tests.backup.shelf import archived, checked, put_back, sample_grant, small
from tests.kit.postgres import Cluster

FLIPS = 200
SEED = 20261126


@pytest.fixture(scope="module")
def archive(postgres15: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.kit.sample import load_sample

    path = tmp_path_factory.mktemp("archives") / "globex"
    archived(load_sample(postgres15), sample_grant(postgres15), path)
    return path


def test_a_whole_archive_passes_and_its_members_are_told(archive: Path) -> None:
    seen: list[Member] = []
    manifest = verified(members(str(archive)), seen.append)
    assert sorted(one.name for one in seen) == sorted(one.name for one in manifest.members)


def test_a_bit_flipped_anywhere_is_found(archive: Path, tmp_path: Path, effort: int) -> None:
    whole = archive.read_bytes()
    path = tmp_path / "flipped"
    draw = random.Random(SEED)
    for at in draw.sample(range(8 * len(whole)), FLIPS * effort):
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        path.write_bytes(flipped)
        with pytest.raises(Damaged, match=r"^the archive is damaged: "):
            checked(path)


def test_an_archive_that_ends_early_is_refused(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    path = tmp_path / "short"
    draw = random.Random(SEED)
    for length in {0, 1, 511, 512, len(whole) - 1, len(whole) - 512, *draw.sample(range(len(whole)), FLIPS)}:
        path.write_bytes(whole[:length])
        with pytest.raises(Damaged):
            checked(path)


def remade(archive: Path, path: Path, change: dict[str, bytes], manifest: Manifest | None = None) -> Path:
    """The archive with other bytes for some members (b"": without it), and with another manifest, sealed."""
    with writing(str(path)) as sink:
        for name, stored in members(str(archive)):
            if name not in {MANIFEST, SEAL} and change.get(name, stored):
                sink.add(name, change.get(name, stored))
        whole = decode(dict(members(str(archive)))[MANIFEST])
        finish(sink, manifest or whole)
    return path


def parts_of(archive: Path, table: str) -> tuple[Manifest, RelationForm, dict[str, bytes]]:
    """The manifest, a table in it, and the members of all."""
    found = dict(members(str(archive)))
    manifest = decode(found[MANIFEST])
    return manifest, next(one for one in manifest.relations if one.name == table), found


def test_swapped_members_are_found(archive: Path, tmp_path: Path) -> None:
    _, orders, found = parts_of(archive, "orders")
    _, customers, _ = parts_of(archive, "customers")
    first, second = sorted((orders.members[0].name, customers.members[0].name))
    with pytest.raises(Damaged, match=f"{first} is not the member that was written"):
        checked(remade(archive, tmp_path / "a", {first: found[second], second: found[first]}))


def test_a_missing_a_doubled_and_a_foreign_member_are_found(archive: Path, tmp_path: Path) -> None:
    _, orders, found = parts_of(archive, "orders")
    name = orders.members[0].name
    with pytest.raises(Damaged, match=f"{name} is missing"):
        checked(remade(archive, tmp_path / "a", {name: b""}))
    listed = list(members(str(archive)))
    with pytest.raises(Damaged, match=f"{name} is there twice"):
        verified([*listed[:-2], (name, found[name]), *listed[-2:]])
    with pytest.raises(Damaged, match=r"data/0099/000001\.copy\.zst does not belong to it"):
        verified([("data/0099/000001.copy.zst", found[name]), *listed])
    for wrong in (listed[:-2], listed[:-1], [*listed[:-2], listed[-1]], [*listed, listed[0]], []):
        with pytest.raises(Damaged):
            verified(wrong)


def test_a_member_of_another_tenant_is_found_even_where_all_checksums_fit(
    archive: Path, postgres15: Cluster, tmp_path: Path
) -> None:
    """Who makes manifest and seal anew still cannot bring in another tenant's rows."""
    archived(postgres15, sample_grant(postgres15, tenant="acme"), tmp_path / "acme")
    manifest, orders, _ = parts_of(archive, "orders")
    _, others, foreign = parts_of(tmp_path / "acme", "orders")
    name, other = orders.members[0].name, others.members[0]
    with pytest.raises(Damaged, match="not the member that was written"):
        checked(remade(archive, tmp_path / "a", {name: foreign[other.name]}))
    taken = other.model_copy(update={"name": name})
    forged = orders.model_copy(update={"members": (taken, *orders.members[1:])})
    relations = tuple(forged if one is orders else one for one in manifest.relations)
    lie = manifest.model_copy(update={"relations": relations})
    with pytest.raises(Damaged, match="has rows of another tenant than globex"):
        checked(remade(archive, tmp_path / "b", {name: foreign[other.name]}, lie))
    silent = forged.model_copy(update={"tenant_column": None, "key": None})  # as of a table of one's own
    relations = tuple(silent if one is orders else one for one in manifest.relations)
    lie = manifest.model_copy(update={"relations": relations})
    with pytest.raises(Damaged, match="does not say whose rows orders has"):
        checked(remade(archive, tmp_path / "c", {name: foreign[other.name]}, lie))


UUID = "0A0B0C0D-0000-4000-8000-00000000000F"


@pytest.mark.parametrize(
    ("kind", "key", "other"),
    [("int", "007", "70"), ("uuid", UUID, UUID.replace("F", "E")), ("char(5)", "ab", "abc"), ("text", "a\\b", "a")],
)
def test_a_key_that_is_not_written_as_the_server_prints_it_is_the_tenants_all_the_same(
    postgres18: Cluster, tmp_path: Path, kind: str, key: str, other: str
) -> None:
    made = f"CREATE TABLE a (tenant_id {kind} NOT NULL, id int PRIMARY KEY)"
    with small(postgres18, f"{made}; INSERT INTO a VALUES ('{key}', 1), ('{key}', 2), ('{other}', 3)") as grants:
        grant = replace(grants["globex"], keys={**grants["globex"].keys, "default": key})
        manifest = archived(postgres18, grant, tmp_path / "a")
        assert (manifest.rows, checked(tmp_path / "a")) == (2, manifest)
        database = grant.server.database
        before = postgres18.psql(database, "SELECT * FROM a ORDER BY id")
        postgres18.psql(database, "DELETE FROM a WHERE id = 1")
        put_back(postgres18, grant, tmp_path / "a")
        assert postgres18.psql(database, "SELECT * FROM a ORDER BY id") == before
    lie = manifest.model_copy(update={"keys": {"default": other}})
    with pytest.raises(Damaged, match="has rows of another tenant than globex"):
        checked(remade(tmp_path / "a", tmp_path / "b", {}, lie))


def test_rows_that_are_fewer_than_the_manifest_says_are_found(archive: Path, tmp_path: Path) -> None:
    manifest, orders, found = parts_of(archive, "orders")
    name = orders.members[0].name
    fewer, stored = packed(name, b"".join(unpacked(name, found[name]).splitlines(keepends=True)[:-1]))
    forged = orders.model_copy(
        update={"members": (fewer.model_copy(update={"rows": fewer.rows + 1}), *orders.members[1:])}
    )
    relations = tuple(forged if one is orders else one for one in manifest.relations)
    with pytest.raises(Damaged, match=r"has \d+ rows and"):
        checked(remade(archive, tmp_path / "a", {name: stored}, manifest.model_copy(update={"relations": relations})))


def test_a_manifest_that_does_not_say_whose_rows_it_has_or_names_one_twice_is_damaged(archive: Path) -> None:
    listed = list(members(str(archive)))
    manifest, orders, _ = parts_of(archive, "orders")

    def with_(lie: Manifest) -> list[tuple[str, bytes]]:
        return [*listed[:-2], (MANIFEST, encode(lie)), (SEAL, seal(encode(lie)))]

    with pytest.raises(Damaged, match="does not say whose rows"):
        verified(with_(manifest.model_copy(update={"keys": {}})))
    double = orders.model_copy(update={"members": (*orders.members, orders.members[0])})
    relations = tuple(double if one is orders else one for one in manifest.relations)
    with pytest.raises(Damaged, match="names a member twice"):
        verified(with_(manifest.model_copy(update={"relations": relations})))
