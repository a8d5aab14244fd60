"""Frames: any tar program reads them, and nothing but what was written passes."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.backup.refusal import Damaged
from proxy.backup.tape import BLOCK, END, header, opened, padding

NAMES = st.from_regex(r"[a-z0-9]{1,20}(/[a-z0-9.]{1,20}){0,3}", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary(max_size=2000), max_size=5))
def test_tar_reads_what_is_written(given_members: dict[str, bytes]) -> None:
    tape = b"".join(header(name, len(data)) + data + padding(len(data)) for name, data in given_members.items()) + END
    with tarfile.open(fileobj=io.BytesIO(tape)) as tar:
        found = {one.name: tar.extractfile(one) for one in tar}
    assert {name: file.read() for name, file in found.items() if file is not None} == given_members


@given(NAMES, st.integers(0, 8**11 - 1))
def test_a_header_says_name_and_size(name: str, size: int) -> None:
    assert opened(header(name, size)) == (name, size)


def test_every_flipped_bit_of_a_header_is_found() -> None:
    block = header("data/0001/000001.copy.zst", 12345)
    for at in range(8 * BLOCK):
        flipped = bytearray(block)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(Damaged):
            opened(bytes(flipped))


def test_zeros_end_it_and_a_header_of_another_kind_is_refused() -> None:
    assert opened(bytes(BLOCK)) is None
    link = tarfile.TarInfo("data/x")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(Damaged, match="not as it was written"):
        opened(link.tobuf(tarfile.USTAR_FORMAT))
