"""The frames of an archive: a POSIX tar file (ustar) of small members, as every tar program reads it.

Stricter than tar, because nothing may pass that was not written so: each header is byte for byte what `header` makes,
padding is zero, and two blocks of zeros end it. Members are of known size before they are written, so an archive is a
stream. Pure. Source: POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

import tarfile

from proxy.backup.refusal import Damaged

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
LARGEST = 8**11 - 1  # what the size field of ustar holds


def header(name: str, size: int) -> bytes:
    """What stands before a member's bytes."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o600
    return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")


def padding(size: int) -> bytes:
    """What stands behind them."""
    return bytes(-size % BLOCK)


def opened(block: bytes) -> tuple[str, int] | None:
    """Name and size of the member that a header opens; None for a block of zeros, where the archive ends."""
    if block == bytes(BLOCK):
        return None
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        canonical = header(info.name, info.size)
    except (tarfile.HeaderError, ValueError):
        raise Damaged("there is no member's header where one should be") from None
    if canonical != block:
        raise Damaged("a member's header is not as it was written")
    return info.name, info.size
