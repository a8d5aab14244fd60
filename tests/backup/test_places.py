"""An archive is where it was meant to be when it is whole, and nowhere when it is not."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import fsspec
import pytest

from proxy.backup.places import busy, held, is_folder, local, made_folder, read, written
from proxy.backup.refusal import Refused


def test_a_file_is_its_owners_and_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.partywall"
    with written(str(path)) as file:
        file.write(b"rows")
        assert not path.exists()
    assert path.read_bytes() == b"rows"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    with read(str(path)) as file:
        assert file.read() == b"rows"


def test_nothing_stays_of_what_failed(tmp_path: Path) -> None:
    for target in (str(tmp_path / "a"), "memory://failed/a"):
        with pytest.raises(ZeroDivisionError), written(target) as file:
            file.write(b"ro")
            raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), made_folder(str(tmp_path / "b")) as folder:
        (folder / "x").write_bytes(b"ro")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    assert not fsspec.filesystem("memory").exists("/failed/a")


def test_a_file_is_busy_while_it_is_written_or_held_and_not_when_its_process_is_gone(tmp_path: Path) -> None:
    path = str(tmp_path / "a")
    (tmp_path / ".a.1234.partial").touch()
    assert not busy(path)
    with written(path):
        assert busy(path)
        assert not busy(str(tmp_path / "b"))
    assert not busy(path)
    with held(path):
        assert busy(path)
    assert not busy(path)
    with held("memory://x/a"):
        assert not busy("memory://x/a")


def test_what_somebody_left_who_was_killed_is_removed_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    """The process's number is in no name: in a container each command has the same one."""
    left = tmp_path / f".a.{os.getpid()}.partial"
    folder = tmp_path / ".a.1234.partial"
    (tmp_path / ".ab.1.partial").touch()  # of another name
    for making in (written, made_folder):
        left.write_bytes(b"ro")
        folder.mkdir()
        (folder / "x").write_bytes(b"ro")
        with pytest.raises(ZeroDivisionError), making(str(tmp_path / "a")):
            there = {one.name for one in tmp_path.iterdir()}
            assert len(there) == 2
            with pytest.raises(ZeroDivisionError), written(str(tmp_path / "a")):
                assert len(list(tmp_path.iterdir())) == 3
                raise ZeroDivisionError
            assert {one.name for one in tmp_path.iterdir()} == there
            raise ZeroDivisionError
        assert [one.name for one in tmp_path.iterdir()] == [".ab.1.partial"]


def test_a_files_url_is_its_path(tmp_path: Path) -> None:
    """An object there would have its name before it is whole, and who is killed leaves it."""
    with written(f"file://{tmp_path}/a") as file:
        file.write(b"rows")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"rows"
    with made_folder(f"local://{tmp_path}/b/") as folder:
        (folder / "x").write_bytes(b"rows")
    assert is_folder(f"file://{tmp_path}/b")
    assert is_folder(f"file://{tmp_path}/new/")
    assert [local(one) for one in ("file:///a", "s3://a/b", "/a")] == ["/a", "s3://a/b", "/a"]


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"before")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    fsspec.filesystem("memory").pipe("/there/a", b"before")
    for target in (str(path), "memory://there/a"):
        with pytest.raises(Refused, match="exists already"), written(target):
            pass
        with read(target) as file:
            assert file.read() == b"before"
    with pytest.raises(Refused, match="is not empty"), made_folder(str(tmp_path / "full")):
        pass


def test_one_that_came_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(Refused, match="exists already"), written(str(path)) as file:
        file.write(b"rows")
        path.write_bytes(b"other")
    assert path.read_bytes() == b"other"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["memory://objects/a", "file://{}/a"])
def test_an_object_is_reached_by_its_url(kind: str, tmp_path: Path) -> None:
    target = kind.format(tmp_path)
    with written(target) as file:
        file.write(b"rows")
    with read(target) as file:
        assert file.read() == b"rows"
    with pytest.raises(FileNotFoundError), read(target + "bsent"):
        pass


def test_a_url_of_no_known_kind_is_refused() -> None:
    with pytest.raises(Refused, match=r"^nowhere: "), written("nowhere://x/y"):
        pass


def test_a_folder_is_what_says_so_or_is_one(tmp_path: Path) -> None:
    assert is_folder("new/")
    assert is_folder(str(tmp_path))
    assert not is_folder(str(tmp_path / "new"))
    assert not is_folder("memory://x/")


def test_an_empty_folder_takes_the_members(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with made_folder(f"{tmp_path / 'empty'}/") as folder:
        (folder / "x").write_bytes(b"row")
    assert (tmp_path / "empty" / "x").read_bytes() == b"row"
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]


def test_a_dash_is_standard_output_and_input(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    out = io.TextIOWrapper(buffer)
    monkeypatch.setattr(sys, "stdout", out)
    with written("-") as file:
        file.write(b"rows")
    assert buffer.getvalue() == b"rows"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"rows")))
    with read("-") as file:
        assert file.read() == b"rows"
