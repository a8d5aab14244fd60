"""Recorded sessions of real drivers, cut anywhere: the client hears the same, and the connection ends the same way.

Cut once before every byte of either side (`make test`: of a part of them, more of the shorter ones), and one byte at a
time.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drivers.record import FOLDER, SCRIPTS
from tests.kit.recorder import CLIENT, LIMIT, SERVER, Recording
from tests.kit.replay import at, messages, replay, single

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
PLACES = 100  # of each side at least, while nobody asks for more


def load(name: str) -> Recording:
    return Recording.load(FOLDER / f"{name}.jsonl")


def test_every_script_has_its_recording_and_none_is_too_long() -> None:
    assert set(NAMES) >= set(SCRIPTS)
    for name in NAMES:
        assert 0 < sum(len(data) for _, data in load(name).chunks) <= LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_session_is_answered_to_its_end(name: str) -> None:
    recording = load(name)
    heard, _ = replay(recording)
    kinds = "".join(kind for kind, _ in messages(heard.told))
    asked = [tag for tag, _ in messages(recording.said(CLIENT))]
    assert kinds.count("Z") == sum(tag in "QS" for tag in asked)
    assert not heard.destroyed
    assert b"VFATAL" not in heard.told
    assert heard.leased or heard.phase == "closed" or asked[-1] != "X"


@pytest.mark.parametrize("name", NAMES)
def test_one_byte_at_a_time_means_the_same(name: str) -> None:
    recording = load(name)
    assert replay(recording, single)[0] == replay(recording)[0]


@pytest.mark.parametrize("side", [CLIENT, SERVER])
@pytest.mark.parametrize("name", NAMES)
def test_a_cut_before_any_byte_means_the_same(name: str, side: str, effort: int) -> None:
    recording = load(name)
    expected, answered = replay(recording)
    size = len(recording.said(CLIENT)) if side == CLIENT else answered
    step = 1 if effort > 1 else max(1, size // PLACES)
    for place in range(1, size, step):
        assert replay(recording, at(side, place))[0] == expected, place


def test_the_script_gives_each_answer_of_the_recording_as_it_was(tmp_path: Path) -> None:
    recording = load("psql")
    recording.save(tmp_path / "again.jsonl")
    assert Recording.load(tmp_path / "again.jsonl").chunks == recording.chunks
    assert replay(recording)[0].told == recording.said(SERVER)
    assert replay(load("pgbench-prepared"))[0].told == load("pgbench-prepared").said(SERVER)
