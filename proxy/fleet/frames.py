"""Frames over a child process's own pipes: four bytes of length, then so many bytes.

Who reads them knows what is in them; a length of zero is a frame like others.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct("!I")


def framed(body: bytes) -> bytes:
    """One frame."""
    return HEADER.pack(len(body)) + body
