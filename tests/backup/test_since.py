"""What is archived since an archive is what changed, and with that archive it is all that there is."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.backup.refusal import Refused
from proxy.backup.since import Buckets, Fresh, Since
from tests.backup.links import chain, counted, form, held, made

ROWS = st.lists(st.sampled_from([b"", b"a", b"b", b"c\tx", b"d", b"\\N", b"e\\n"]), max_size=12)
STATES = st.lists(st.dictionaries(st.sampled_from(["t", "u", "v"]), ROWS), min_size=2, max_size=5)


@settings(max_examples=20)
@given(STATES, st.sampled_from([1, 3, 1000]))
def test_every_archive_of_a_chain_is_all_of_its_moment(states: list[dict[str, list[bytes]]], most: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole = made(Path(folder) / "0", states[0])
        for number, state in enumerate(states[1:], 1):
            whole = made(Path(folder) / str(number), state, whole, most=most)
            assert held(whole) == counted(state)
        for number, state in enumerate(states):
            assert held(chain(Path(folder) / str(number))) == counted(state)


def test_only_what_changed_is_in_it(tmp_path: Path) -> None:
    rows = [f"row {one}".encode() for one in range(1000)]
    first = made(tmp_path / "0", {"t": rows, "u": [b"a", b"a"], "v": []}, size=100)
    now = {"t": [b"new", *rows[:500], *rows[501:]], "u": [b"a", b"a"], "v": [b"b"]}
    second = made(tmp_path / "1", now, first, size=100)
    manifest = second.links[-1].manifest
    assert [one.rows for one in manifest.relations] == [1, 0, 1]
    assert [sum(some.rows for some in one.gone) for one in manifest.relations] == [1, 0, 0]
    assert [one.builds for one in manifest.relations] == [True, True, False]
    assert held(second) == counted(now)
    assert held(made(tmp_path / "2", now, second)) == counted(now)


def test_a_table_with_too_much_that_is_new_is_taken_whole(tmp_path: Path) -> None:
    before = {"t": [b"%d" % one for one in range(50)], "u": [b"%d" % one for one in range(50)]}
    now = {"t": [b"x%d" % one for one in range(50)], "u": [*before["u"], b"new"]}
    second = made(tmp_path / "1", now, made(tmp_path / "0", before), most=20)
    assert [(one.rows, one.builds) for one in second.links[-1].manifest.relations] == [(50, False), (1, True)]
    assert held(second) == counted(now)


def test_other_columns_are_another_table(tmp_path: Path) -> None:
    since = Since(made(tmp_path / "0", {"t": [b"a"], "u": [b"b"]}))
    assert since.begin([form("u", "a", "b"), form("t"), form("w")]) == [1]
    assert [one.name for one in since.bases] == ["0"]
    since.close()


def test_rows_that_are_not_there_when_they_are_read_again_are_a_reason_to_stop() -> None:
    fresh = Fresh()
    fresh.expect(b"h")
    with pytest.raises(Refused, match="orders was not the same when it was read again"):
        fresh.check_found("orders")


def test_records_come_back_from_where_they_were_put(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.backup.since.HELD", 100)
    buckets = Buckets(3, 6)
    put = [one.to_bytes(6) for one in range(0, 1 << 40, 1 << 31)]
    for one in put:
        buckets.add(one)
    found = [list(buckets.read(one)) for one in range(3)]
    assert sorted(one for some in found for one in some) == put
    assert all(found)
    buckets.close()
