"""A receipt is what was signed, byte for byte; anything else is refused, and openssl alone says the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from proxy.backup.refusal import Refused
from proxy.backup.signing import fingerprint, private_key, proven, public_key, written


def openssl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *arguments], capture_output=True, check=False, timeout=30)


@pytest.fixture
def key(tmp_path: Path) -> Ed25519PrivateKey:
    """Made as the page says."""
    openssl("genpkey", "-algorithm", "ed25519", "-out", str(tmp_path / "receipt.key"))
    openssl("pkey", "-in", str(tmp_path / "receipt.key"), "-pubout", "-out", str(tmp_path / "receipt.pub"))
    return private_key(tmp_path / "receipt.key")


def test_a_receipt_is_proven_by_this_program_and_by_openssl(key: Ed25519PrivateKey, tmp_path: Path) -> None:
    public = public_key(tmp_path / "receipt.pub")
    assert fingerprint(public) == fingerprint(key.public_key()) == fingerprint(public_key(tmp_path / "receipt.key"))
    text = written({"format": 1, "tenant": "ümlaut", "tables": {"b": 1, "a": 2}, "key": fingerprint(public)})
    assert text.decode().index('"a": 2') < text.decode().index('"b": 1')
    assert proven(text, key.sign(text), public)["tenant"] == "ümlaut"
    (tmp_path / "r").write_bytes(text)
    (tmp_path / "r.sig").write_bytes(key.sign(text))
    check = ("pkeyutl", "-verify", "-pubin", "-inkey", f"{tmp_path}/receipt.pub", "-rawin", "-in", f"{tmp_path}/r")
    assert openssl(*check, "-sigfile", f"{tmp_path}/r.sig").returncode == 0
    (tmp_path / "r").write_bytes(text.replace(b": 2", b": 3"))
    assert openssl(*check, "-sigfile", f"{tmp_path}/r.sig").returncode != 0


def test_a_receipt_that_was_touched_anywhere_is_refused(key: Ed25519PrivateKey) -> None:
    public = key.public_key()
    text = written({"format": 1, "tables": {"a": 2}, "key": fingerprint(public)})
    signature = key.sign(text)
    for at in range(len(text)):
        with pytest.raises(Refused, match="not what was signed"):
            proven(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :], signature, public)
    for other in (
        signature[:-1],
        signature[:-1] + bytes([signature[-1] ^ 1]),
        b"",
        Ed25519PrivateKey.generate().sign(text),
    ):
        with pytest.raises(Refused, match="not what was signed"):
            proven(text, other, public)
    with pytest.raises(Refused, match="another key signed it"):
        proven(text, signature, Ed25519PrivateKey.generate().public_key())


def test_what_is_signed_and_no_receipt_is_refused(key: Ed25519PrivateKey) -> None:
    public = key.public_key()
    whole = {"format": 1, "key": fingerprint(public)}
    for text, why in (
        (b"x", "no receipt"), (b"[]", "no receipt"), (written(whole | {"format": 2}), "no receipt"),
        (written(whole) + b" ", "no receipt"), (written(whole | {"key": "0"}), "names another key"),
    ):  # fmt: skip
        with pytest.raises(Refused, match=why):
            proven(text, key.sign(text), public)


def test_a_file_that_is_no_such_key_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    openssl("genpkey", "-algorithm", "x25519", "-out", str(tmp_path / "other"))
    openssl("pkey", "-in", str(tmp_path / "other"), "-pubout", "-out", str(tmp_path / "other.pub"))
    (tmp_path / "none").write_text("x", "utf-8")
    (tmp_path / "public").write_text("PUBLIC KEY", "utf-8")
    for name in ("other", "none"):
        with pytest.raises(Refused, match="openssl genpkey -algorithm ed25519"):
            private_key(tmp_path / name)
    for name in ("other.pub", "public"):
        with pytest.raises(Refused, match="no Ed25519 public key"):
            public_key(tmp_path / name)
