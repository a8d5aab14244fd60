"""Certificates of tests' own: what a proxy shows to its clients."""

from __future__ import annotations

from pathlib import Path

import trustme


def certify_proxy(folder: Path, authority: trustme.CA) -> dict[str, str]:
    """A certificate for this machine in `folder`, replaced as a whole; the settings of a proxy that shows it."""
    made = authority.issue_cert("127.0.0.1", "localhost")
    files = {"TLS_KEY": folder / "server.key", "TLS_CERTIFICATE": folder / "server.crt"}
    for file, data in zip(files.values(), (made.private_key_pem, made.cert_chain_pems[0]), strict=True):
        fresh = folder / f"fresh{file.suffix}"
        data.write_to_path(fresh)
        fresh.replace(file)
    return {name: str(file) for name, file in files.items()}
