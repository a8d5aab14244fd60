"""What is sealed here is opened by `age`, what `age` seals is opened here, and nobody else opens either."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pyrage
import pytest

from proxy.backup.refusal import Damaged, Refused
from proxy.backup.sealing import Opened, Sealed, identities, recipient

PLAIN = b"row\n" * 100_000


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, str]:
    """An identity file and its recipient."""
    made = pyrage.x25519.Identity.generate()
    path = tmp_path / "key.txt"
    path.write_text(f"# created: today\n{made}\n", "utf-8")
    return path, str(made.to_public())


def sealed(recipients: list[str]) -> bytes:
    file = io.BytesIO()
    writer = Sealed(file, [recipient(one) for one in recipients])
    for at in range(0, len(PLAIN), 1000):
        writer.write(PLAIN[at : at + 1000])
    writer.close()
    return file.getvalue()


def opened(data: bytes, key: Path) -> bytes:
    reader = Opened(io.BytesIO(data), identities(key))
    found = []
    try:
        while part := reader.read(999):
            found.append(part)
    finally:
        reader.close()
    return b"".join(found)


def test_age_opens_what_is_sealed_here(key: tuple[Path, str], tmp_path: Path) -> None:
    path, public = key
    (tmp_path / "sealed").write_bytes(sealed([public]))
    done = subprocess.run(["age", "-d", "-i", path, tmp_path / "sealed"], capture_output=True, check=True, timeout=60)
    assert done.stdout == PLAIN
    assert opened(sealed([public]), path) == PLAIN


def test_what_age_seals_is_opened_here(key: tuple[Path, str]) -> None:
    path, public = key
    done = subprocess.run(["age", "-r", public], input=PLAIN, capture_output=True, check=True, timeout=60)
    assert opened(done.stdout, path) == PLAIN


def test_an_ssh_key_is_a_recipient(tmp_path: Path) -> None:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True, timeout=60)
    assert opened(sealed([(tmp_path / "id.pub").read_text("utf-8")]), path) == PLAIN


def test_others_cannot_open_it_and_what_was_changed_is_damaged(key: tuple[Path, str], tmp_path: Path) -> None:
    path, public = key
    other = tmp_path / "other.txt"
    other.write_text(str(pyrage.x25519.Identity.generate()), "utf-8")
    data = sealed([public])
    with pytest.raises(Refused, match="no identity fits"):
        opened(data, other)
    for at in (50, len(data) // 2, len(data) - 1):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(Refused):
            opened(changed, path)
    with pytest.raises(Damaged):
        opened(data[:-1], path)


def test_what_is_no_recipient_and_no_identity_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is no age recipient"):
        recipient("somebody")
    path = tmp_path / "empty"
    path.write_text("# nothing\n", "utf-8")
    with pytest.raises(Refused, match="there is no age identity"):
        identities(path)
    path.write_text("AGE-SECRET-KEY-1NONSENSE\n", "utf-8")
    with pytest.raises(Refused, match="a line is no age identity") as refused:
        identities(path)
    assert "NONSENSE" not in str(refused.value)
    path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", "utf-8")
    with pytest.raises(Refused, match="not an SSH key"):
        identities(path)


def test_a_file_that_cannot_be_written_is_an_error(key: tuple[Path, str]) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    writer = Sealed(Full(), [recipient(key[1])])
    with pytest.raises(OSError, match="No space left"):
        for _ in range(100):
            writer.write(PLAIN)


def test_reading_may_stop_anywhere(key: tuple[Path, str]) -> None:
    path, public = key
    reader = Opened(io.BytesIO(sealed([public])), identities(path))
    assert reader.read(4) == PLAIN[:4]
    reader.close()
