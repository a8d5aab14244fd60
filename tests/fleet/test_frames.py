"""A frame is its length and its bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.fleet.frames import HEADER, framed


@given(st.binary(max_size=300))
def test_a_frame_says_how_many_bytes_follow(body: bytes) -> None:
    made = framed(body)
    (length,) = HEADER.unpack(made[: HEADER.size])
    assert (length, made[HEADER.size :]) == (len(body), body)
