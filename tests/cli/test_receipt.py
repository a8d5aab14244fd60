"""`partywall receipt`: status 0 and the receipt, or 1 and the reason."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from proxy.backup.signing import fingerprint, written
from tests.cli.conftest import Run


def test_a_receipt_is_printed_when_it_is_proven(run: Run, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    public = tmp_path / "pub"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    text = written({"format": 1, "tenant": "acme", "key": fingerprint(key.public_key())})
    (tmp_path / "r").write_bytes(text)
    missing = run("receipt", str(tmp_path / "r"), "--key", str(public))
    assert (missing.exit_code, "r.sig" in missing.stderr) == (1, True)
    (tmp_path / "r.sig").write_bytes(key.sign(text))
    assert run("receipt", str(tmp_path / "r"), "--key", str(public)).stdout == text.decode()
    (tmp_path / "r.sig").write_bytes(Ed25519PrivateKey.generate().sign(text))
    other = run("receipt", str(tmp_path / "r"), "--key", str(public))
    assert (other.exit_code, other.stdout, "another key signed it" in other.stderr) == (1, "", True)
