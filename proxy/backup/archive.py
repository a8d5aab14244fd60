"""An archive as a sequence of members: written once, read once, in constant memory.

Each member is packed by zstd and is whole rows of one table, so that `zstd -dc` of a table's members in their order is
COPY text. What a member must be stands in the manifest, which comes last; checking.py compares. A folder holds the same
members as files. Blocking: call it from a thread.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import zstandard

from proxy.backup.manifest import MANIFEST, SEAL, Manifest, Member, encode, seal
from proxy.backup.pieces import rows_of
from proxy.backup.places import is_folder, local, made_folder, read, written
from proxy.backup.refusal import Damaged, Refused
from proxy.backup.sealing import MAGIC, Opened, Sealed
from proxy.backup.tape import BLOCK, END, LARGEST, header, opened, padding

LEVEL = 3
LARGEST_PLAIN = 2 << 30  # a row may have a gigabyte; what says that it unpacks to more is no member of ours


class _Packer(threading.local):
    """A thread's own: to make one anew costs as much as to pack a megabyte."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL)


_PACKER = _Packer()


class Sink(Protocol):
    """Takes members."""

    def add(self, name: str, data: bytes) -> None: ...


class _Tape:
    def __init__(self, write: Any) -> None:
        self._write = write

    def add(self, name: str, data: bytes) -> None:
        if len(data) > LARGEST:
            raise Refused([f"{name} is larger than an archive's member can be"])
        self._write(header(name, len(data)) + data + padding(len(data)))


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, name: str, data: bytes) -> None:
        path = self._path / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("xb") as file:
            path.chmod(0o600)
            file.write(data)


@contextmanager
def writing(target: str, recipients: Sequence[Any] = ()) -> Iterator[Sink]:
    """An archive that is there, whole, once the block ends well."""
    if is_folder(target):
        if recipients:
            raise Refused(["a folder cannot be encrypted; name a file"])
        with made_folder(target) as path:
            yield _Folder(path)
        return
    with written(target) as file:
        if recipients:
            sealed = Sealed(file, recipients)
            try:
                yield _Tape(sealed.write)
                sealed.write(END)
            finally:
                sealed.close()
        else:
            yield _Tape(file.write)
            file.write(END)


def packed(name: str, plain: bytes, rows: bool = True) -> tuple[Member, bytes]:
    """A member, and the bytes that are stored of it."""
    stored = _PACKER.compressor.compress(plain)
    digest = hashlib.sha256(stored).hexdigest()
    count = rows_of(plain) if rows else 0
    return Member(name=name, size=len(stored), sha256=digest, bytes=len(plain), rows=count), stored


def unpacked(name: str, stored: bytes) -> bytes:
    """What a member's bytes unpack to."""
    try:
        size = zstandard.frame_content_size(stored)
        if not 0 <= size <= LARGEST_PLAIN:
            raise Damaged(f"{name} has no size that a member can have")
        unpacking = zstandard.ZstdDecompressor().decompressobj()
        plain = unpacking.decompress(stored)
    except zstandard.ZstdError:
        raise Damaged(f"{name} cannot be unpacked") from None
    if not unpacking.eof or unpacking.unused_data or len(plain) != size:
        raise Damaged(f"{name} cannot be unpacked whole")
    return plain


def finish(sink: Sink, manifest: Manifest) -> None:
    """The last two members."""
    body = encode(manifest)
    sink.add(MANIFEST, body)
    sink.add(SEAL, seal(body))


def members(source: str, keys: Sequence[Any] = ()) -> Generator[tuple[str, bytes]]:
    """Name and stored bytes of each member, in their order. Damaged where there is none and should be one.

    keys: age identities, for an archive that is encrypted.
    """
    if is_folder(source):
        yield from _files(Path(local(source)))
        return
    with read(source) as file:
        yield from members_of(file, source, keys)


def members_of(file: BinaryIO, source: str, keys: Sequence[Any] = ()) -> Generator[tuple[str, bytes]]:
    """The same of a file that is open; source: its name, for people."""
    first = file.read(len(MAGIC))
    if first != MAGIC:
        yield from _taped(_Ahead(first, file))
        return
    if not keys:
        raise Refused([f"{source} is encrypted; name an --identity"])
    sealed = Opened(cast("BinaryIO", _Ahead(first, file)), keys)
    try:
        yield from _taped(sealed)
    finally:
        sealed.close()


class _Ahead:
    """A file of which the first bytes were read already."""

    def __init__(self, first: bytes, file: BinaryIO) -> None:
        self._first = first
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        first, self._first = self._first, b""
        if not first:
            return self._file.read(size)
        if 0 <= size < len(first):
            self._first = first[size:]
            return first[:size]
        return first + self._file.read(size - len(first) if size >= 0 else -1)


def _taped(file: Any) -> Iterator[tuple[str, bytes]]:
    while True:
        block = file.read(BLOCK)
        if len(block) < BLOCK:
            raise Damaged("it ends before its end")
        found = opened(block)
        if found is None:
            break
        name, size = found
        whole = size + len(padding(size))
        data = file.read(whole)
        if len(data) < whole:
            raise Damaged(f"it ends within {name}")
        if data[size:] != padding(size):
            raise Damaged(f"there is something behind {name}")
        yield name, data[:size]
    if file.read(2 * BLOCK) != bytes(BLOCK):
        raise Damaged("it does not end where it should")


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    last = (MANIFEST, SEAL)
    names = sorted(one.relative_to(path).as_posix() for one in path.rglob("*") if not one.is_dir())
    for name in sorted(names, key=lambda one: (one in last, not one.startswith("definitions/"), one)):
        yield name, (path / name).read_bytes()
