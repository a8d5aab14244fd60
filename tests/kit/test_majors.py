"""What is unpacked lies in its folder, and an archive that leads out of it is refused."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.kit.majors import unpack


def archive(path: Path, *members: tuple[str, str]) -> Path:
    """Names, and where to if it is a link."""
    with tarfile.open(path, "w:gz") as tar:
        for name, target in members:
            member = tarfile.TarInfo(name)
            if target:
                member.type, member.linkname = tarfile.SYMTYPE, target
            else:
                member.size = 2
            tar.addfile(member, None if target else io.BytesIO(b"ok"))
    return path


def test_files_and_links_lie_in_the_folder(tmp_path: Path) -> None:
    unpack(archive(tmp_path / "a.tgz", ("a/one", ""), ("a/two", "one")), tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder" / "a" / "two").read_bytes() == b"ok"


@pytest.mark.parametrize(
    "members", [[("../evil", "")], [("out", ".."), ("out/evil", "")], [("out", "/"), ("out/x", "")]]
)
def test_no_name_and_no_link_leads_out_of_it(tmp_path: Path, members: list[tuple[str, str]]) -> None:
    made = archive(tmp_path / "a.tgz", *members)
    with pytest.raises(subprocess.CalledProcessError):
        unpack(made, tmp_path / "folder")
    assert not (tmp_path / "evil").exists()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tgz", "folder"]
