"""Members go in and come out; sizes that lie and bytes behind the end do not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyrage
import pytest
import zstandard

from proxy.backup.archive import finish, members, packed, unpacked, writing
from proxy.backup.manifest import MANIFEST, SEAL
from proxy.backup.refusal import Damaged, Refused
from proxy.backup.tape import END
from tests.backup.test_manifest import MANIFEST as EXAMPLE

ROWS = [b"1\ta\n1\tb\n", b"1\tc\n"]


def put(target: str, recipients: tuple[object, ...] = ()) -> None:
    with writing(target, recipients) as sink:
        for number, rows in enumerate(ROWS):
            member, stored = packed(f"data/0001/{number:06}.copy.zst", rows)
            assert member.rows == rows.count(b"\n")
            sink.add(member.name, stored)
        finish(sink, EXAMPLE)


def test_members_come_out_as_they_went_in(tmp_path: Path) -> None:
    for target in (str(tmp_path / "file"), f"{tmp_path}/folder/", "memory://archive/members"):
        put(target)
        found = list(members(target))
        assert [name for name, _ in found[-2:]] == [MANIFEST, SEAL]
        assert [unpacked(name, stored) for name, stored in found[:-2]] == ROWS


def test_tar_and_zstd_are_enough_to_read_it(tmp_path: Path) -> None:
    put(str(tmp_path / "file"))
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "file", "-C", tmp_path / "out"], check=True, timeout=60)
    stored = b"".join(path.read_bytes() for path in sorted((tmp_path / "out" / "data" / "0001").iterdir()))
    plain = zstandard.ZstdDecompressor().stream_reader(stored, read_across_frames=True).read()
    assert plain == b"".join(ROWS)
    subprocess.run(["sha256sum", "-c", SEAL], cwd=tmp_path / "out", check=True, capture_output=True, timeout=60)


def test_an_encrypted_archive_needs_an_identity(tmp_path: Path) -> None:
    key = pyrage.x25519.Identity.generate()
    target = str(tmp_path / "file")
    put(target, (key.to_public(),))
    assert b"data/0001" not in (tmp_path / "file").read_bytes()
    assert [name for name, _ in members(target, [key])][-1] == SEAL
    with pytest.raises(Refused, match="is encrypted; name an --identity"):
        list(members(target))
    with pytest.raises(Refused, match="a folder cannot be encrypted"), writing(f"{tmp_path}/folder/", (key,)):
        pass


def test_what_does_not_end_where_it_should_is_damaged(tmp_path: Path) -> None:
    put(str(tmp_path / "file"))
    whole = (tmp_path / "file").read_bytes()
    for number, text in enumerate((b"", whole[:100], whole[:-1], whole[:-1024], whole + b"x", whole[:-512] + END)):
        path = tmp_path / f"other{number}"
        path.write_bytes(text)
        with pytest.raises(Damaged):
            list(members(str(path)))


def test_what_does_not_unpack_to_what_it_says_is_damaged() -> None:
    _, stored = packed("x", ROWS[0])
    assert unpacked("x", stored) == ROWS[0]
    bomb = zstandard.ZstdCompressor().compressobj(size=3 << 30).compress(b"")
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(ROWS[0])
    for wrong in (b"", stored[:-1], stored + b"x", stored + stored, b"x" + stored[1:], bomb, unsized):
        with pytest.raises(Damaged):
            unpacked("x", wrong)
