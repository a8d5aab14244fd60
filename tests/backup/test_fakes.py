"""What is made up fits its column, is the same for the same bytes, and reaches nobody."""

from __future__ import annotations

import hashlib
import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.backup.fakes import FAKES, SHORTEST_EMAIL, fake
from proxy.backup.masking import Kind

BITS = st.binary(min_size=32, max_size=32)


def test_the_file_may_name_what_there_is() -> None:
    assert set(get_args(Kind)) == FAKES.keys()


@pytest.mark.parametrize("kind", FAKES)
@given(BITS, st.integers(0, 300), st.none() | st.integers(1, 40))
def test_it_fits_and_repeats(kind: str, bits: bytes, length: int, limit: int | None) -> None:
    made = fake(kind, bits, length, limit)
    assert made == fake(kind, bits, length, limit)
    assert limit is None or len(made) <= limit
    assert made or not length
    assert made.isascii()
    assert made.isprintable()


@given(BITS)
def test_nobody_is_reached(bits: bytes) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+\.[0-9a-f]{16}@example\.com", fake("email", bits, 0))
    assert re.fullmatch(r"[0-9a-f]{16}@example\.com", fake("email", bits, 0, SHORTEST_EMAIL))
    assert re.fullmatch(r"\+999[0-9]{9}", fake("phone", bits, 0))


@given(BITS, st.integers(1, 200))
def test_a_text_is_about_as_long_as_it_was(bits: bytes, length: int) -> None:
    assert length - 1 <= len(fake("text", bits, length)) <= length


def test_two_values_get_two_addresses() -> None:
    made = {fake("email", hashlib.sha256(b"%d" % one).digest(), 0) for one in range(10_000)}
    assert len(made) == 10_000
