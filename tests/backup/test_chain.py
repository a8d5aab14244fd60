"""An archive is read with the very archives that it builds on, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest

from proxy.backup.archive import finish, members, packed, writing
from proxy.backup.chain import Chain, read_back
from proxy.backup.checking import verified
from proxy.backup.manifest import MANIFEST, SEAL, BaseForm, Manifest, decode
from proxy.backup.refusal import Damaged, Refused
from tests.backup.links import chain, counted, held, made

FIRST = {"t": [b"a", b"b", b"c", b"d", b"e"], "u": [b"x"]}
SECOND = {"t": [b"a", b"c", b"d", b"f"], "u": [b"x"]}
THIRD = {"t": [b"c", b"d", b"g"], "u": [b"y"]}


def three(folder: Path) -> Chain:
    return made(folder / "2", THIRD, made(folder / "1", SECOND, made(folder / "0", FIRST)))


def test_what_it_builds_on_is_found_beside_it_or_where_it_is_said_to_be(tmp_path: Path) -> None:
    assert held(three(tmp_path)) == counted(THIRD)
    (tmp_path / "else").mkdir()
    shutil.move(tmp_path / "0", tmp_path / "else" / "first")
    with pytest.raises(Refused, match=r"2 builds on 0 of 2026.*, which is not beside it; name it with --base"):
        chain(tmp_path / "2")
    whole = chain(tmp_path / "2", tmp_path / "else" / "first")
    assert [Path(one.archive).name for one in whole.links] == ["first", "1", "2"]
    assert held(whole) == counted(THIRD)
    assert held(chain(tmp_path / "1", tmp_path / "else" / "first")) == counted(SECOND)
    with pytest.raises(Refused, match=r"1 does not build on .*2"):
        chain(tmp_path / "1", tmp_path / "else" / "first", tmp_path / "2")


def test_nothing_stands_in_for_it(tmp_path: Path) -> None:
    three(tmp_path)
    (tmp_path / "0").unlink()
    made(tmp_path / "0", SECOND)
    with pytest.raises(Refused, match=r"2 builds on 0 .*0 is another; name the right one with --base"):
        chain(tmp_path / "2")
    with pytest.raises(Refused, match="is another"):
        chain(tmp_path / "2", tmp_path / "1")


def test_one_that_is_not_as_it_was_is_refused(tmp_path: Path) -> None:
    whole = three(tmp_path)
    text = bytearray((tmp_path / "0").read_bytes())
    text[515] ^= 1  # within the first member
    (tmp_path / "0").write_bytes(text)
    with pytest.raises(Damaged):
        chain(tmp_path / "2")
    with pytest.raises(Damaged, match="has changed since it was verified"):
        held(whole)


def test_it_is_no_archive_of_everything(tmp_path: Path) -> None:
    whole = three(tmp_path)
    for one in ("1", "2"):
        with pytest.raises(Refused, match=r"has only what changed since another \(--since\)"):
            verified(members(str(tmp_path / one)))
    assert verified(members(str(tmp_path / "0"))).rows == 6
    assert (whole.manifest.format, whole.manifest.bases, whole.manifest.rows) == (1, (), 4)


def remade(source: Path, path: Path, manifest: Manifest, texts: dict[str, bytes] | None = None) -> Path:
    """The archive with another manifest, and other numbers of rows that are gone, sealed."""
    path.unlink(missing_ok=True)
    given = [(name, stored) for name, stored in members(str(source)) if name not in (MANIFEST, SEAL)]
    renewed = {}
    with writing(str(path)) as sink:
        for name, stored in given:
            if name in (texts or {}):
                renewed[name], changed = packed(name, (texts or {})[name])
                sink.add(name, changed)
            else:
                sink.add(name, stored)
        relations = []
        for one in manifest.relations:
            removed = tuple(
                form.model_copy(update={"members": tuple(renewed.get(some.name, some) for some in form.members)})
                for form in one.removed
            )
            relations.append(one.model_copy(update={"removed": removed}))
        finish(sink, manifest.model_copy(update={"relations": tuple(relations)}))
    return path


def test_numbers_that_cannot_be_are_found_before_a_row_is_read(tmp_path: Path) -> None:
    manifest = three(tmp_path).links[-1].manifest
    lists = [one.name for form in manifest.relations for one in form.gone]
    assert lists
    # Row 2 of `t` went before.
    for text, why in ((b"1\n1\n", "row 1 of "), (b"77\n", "row 77 of "), (b"2\n", "row 2 of ")):
        for name in lists:
            path = remade(tmp_path / "2", tmp_path / "3", manifest, {name: text})
            with pytest.raises(Damaged, match=f"{why}|rows of acme.t, and its chain"):
                chain(path)
    less = manifest.relations[0].model_copy(update={"removed": manifest.relations[0].removed[1:]})
    path = remade(tmp_path / "2", tmp_path / "3", manifest.model_copy(update={"relations": (less,)}))
    with pytest.raises(Damaged, match=r"is missing|does not belong|and its chain"):
        chain(path)


def test_one_of_another_tenant_or_another_past_does_not_fit(tmp_path: Path) -> None:
    newest = three(tmp_path).links[-1].manifest
    path = remade(tmp_path / "2", tmp_path / "3", newest.model_copy(update={"tenant": "globex"}))
    with pytest.raises(Damaged, match="is not of the same tenant"):
        chain(path)
    for bases in (newest.bases[1:], newest.bases[::-1]):
        path = remade(tmp_path / "2", tmp_path / "3", newest.model_copy(update={"bases": bases}))
        with pytest.raises(Damaged, match=r"does not build on what|that is not named"):
            chain(path)
    up = BaseForm(manifest="0" * 64, name="../0", time="")
    path = remade(tmp_path / "2", tmp_path / "3", newest.model_copy(update={"bases": (up, *newest.bases[1:])}))
    with pytest.raises(Damaged, match="is no name of an archive"):
        chain(path)


def test_a_manifest_that_says_it_by_halves_is_none(tmp_path: Path) -> None:
    three(tmp_path)
    text = next(stored for name, stored in members(str(tmp_path / "2")) if name == MANIFEST)
    changes: list[dict[str, object]] = [{"format": 1}, {"bases": []}]
    for change in changes:
        with pytest.raises(Damaged):
            decode(orjson.dumps(orjson.loads(text) | change))
    whole = orjson.loads(text)
    changes = [{"total": None}, {"builds": False}, {"removed": [{"base": 9, "members": []}]}]
    for change in changes:
        with pytest.raises(Damaged):
            decode(orjson.dumps(whole | {"relations": [whole["relations"][0] | change]}))


def test_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    whole = three(tmp_path)
    wanted = whole.manifest.relations[1].members
    assert [plain for _, plain in read_back(whole, (), wanted)] == [b"y\n"]
    assert list(read_back(str(tmp_path / "0"), (), ())) == []
