"""Files appear whole, never over another, and by one writer at a time."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from proxy.fleet.rulefiles import one_writer, write_draft, write_new, write_over


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_a_new_file_is_whole_and_as_readable_as_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "tenants"
    folder.mkdir(0o750)
    write_new(folder / "acme.yaml", "tenant: acme\n")
    assert names(folder) == ["acme.yaml"]
    assert (folder / "acme.yaml").read_text(encoding="utf-8") == "tenant: acme\n"
    assert stat.S_IMODE((folder / "acme.yaml").stat().st_mode) == 0o640


def test_nothing_is_written_over(tmp_path: Path) -> None:
    write_new(tmp_path / "tenants" / "acme.yaml", "one\n")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "tenants" / "acme.yaml", "two\n")
    assert (tmp_path / "tenants" / "acme.yaml").read_text(encoding="utf-8") == "one\n"
    assert names(tmp_path / "tenants") == ["acme.yaml"]


def test_another_text_keeps_the_mode_and_the_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_text("one\n", encoding="utf-8")
    real.chmod(0o600)
    link.symlink_to(real)
    write_over(link, "two\n")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == "two\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert names(tmp_path) == ["link.yaml", "real.yaml"]


def test_a_draft_is_as_readable_as_the_file_that_it_is_for(tmp_path: Path) -> None:
    real, draft = tmp_path / "real.yaml", tmp_path / ".real.yaml.0a"
    real.write_text("one\n", encoding="utf-8")
    real.chmod(0o600)
    write_draft(real, draft, "two\n")
    assert (real.read_text(encoding="utf-8"), draft.read_text(encoding="utf-8")) == ("one\n", "two\n")
    assert stat.S_IMODE(draft.stat().st_mode) == 0o600
    assert names(tmp_path) == [".real.yaml.0a", "real.yaml"]


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    got = threading.Event()

    def second() -> None:
        with one_writer(tmp_path):
            got.set()

    other = threading.Thread(target=second)
    with one_writer(tmp_path):
        other.start()
        assert not got.wait(0.2)
    assert got.wait(20)
    other.join()
    with pytest.raises(OSError, match="No such file"), one_writer(tmp_path / "nowhere"):
        pass
