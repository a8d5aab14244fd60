"""Every input that was ever worth keeping, through its target; and bytes that Hypothesis makes, for a moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.__main__ import CORPUS, NAMES, kept
from tests.fuzz.targets import TARGETS

TAGS = [bytes([one]) for one in b"QPBDECSHXdcfpZRT12t"]
PARTS = [
    b"\0\0\0\4",
    b"\0\0\0\5I",
    b"\0\0\0\6",
    b"\0",
    b"\xff\xff\xff\xff",
    b"SELECT 1\0",
    b"BEGIN\0",
    b"s1\0",
    b"n,,n=,r=",
]
SIGNS = [b"'", b"''", b"1", b"-", b"/*", b"--", b"$1", b"E'", b'"', b"\\", b"\n", b"\r\n", b"\t", b",", b"\\.", b";"]
WORDS = st.sampled_from([*TAGS, *PARTS, *SIGNS])
SAID = st.lists(st.one_of(WORDS, st.binary(max_size=6)), max_size=30).map(b"".join)


def test_the_targets_are_those_of_the_command_and_each_has_a_corpus() -> None:
    assert set(TARGETS) == set(NAMES) == {path.stem for path in CORPUS.glob("*.txt")}
    assert all(kept(name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_kept_of_earlier_runs_is_taken(name: str) -> None:
    for data in kept(name):
        TARGETS[name](data)


@pytest.mark.parametrize("name", NAMES)
@given(data=SAID)
def test_bytes_of_any_kind_are_taken_or_refused_and_nothing_else(name: str, data: bytes) -> None:
    TARGETS[name](data)
