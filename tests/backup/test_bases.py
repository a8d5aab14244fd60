"""What an archive builds on is told without its rows, and what is no archive builds on nothing."""

from __future__ import annotations

from pathlib import Path

from proxy.backup.archive import finish, members, writing
from proxy.backup.bases import bases_of
from proxy.backup.checking import examined
from tests.backup.links import chain, made

ROWS = {"t": [b"1\ta", b"2\tb"]}


def test_an_archive_names_all_that_it_builds_on(tmp_path: Path) -> None:
    first = made(tmp_path / "1", ROWS)
    second = made(tmp_path / "2", {"t": [*ROWS["t"], b"3\tc"]}, first)
    made(tmp_path / "3", {"t": [b"2\tb"]}, second)
    assert [bases_of(tmp_path / name) for name in "123"] == [frozenset(), {"1"}, {"1", "2"}]
    assert len(chain(tmp_path / "3").links) == 3


def test_a_folders_manifest_does_too(tmp_path: Path) -> None:
    made(tmp_path / "2", ROWS, made(tmp_path / "1", ROWS))
    manifest, _ = examined(members(str(tmp_path / "2")))
    with writing(f"{tmp_path}/folder/") as sink:
        finish(sink, manifest)
    assert bases_of(tmp_path / "folder" / "manifest.json") == {"1"}


def test_what_is_no_archive_or_is_cut_builds_on_nothing(tmp_path: Path) -> None:
    made(tmp_path / "2", ROWS, made(tmp_path / "1", ROWS))
    whole = (tmp_path / "2").read_bytes()
    for some in (
        b"",
        b"notes",
        b"\0" * 2000,
        b"age-encryption.org/v1\n" + whole,
        whole[:700],
        whole[: whole.index(b"manifest.json") + 600],
    ):
        (tmp_path / "x").write_bytes(some)
        assert bases_of(tmp_path / "x") == frozenset()
    assert bases_of(tmp_path / "absent") == frozenset()
    assert bases_of(tmp_path) == frozenset()
