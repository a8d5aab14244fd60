"""Each case has its turn at each server: at one in a run, and at every one in as many runs as there are servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from tests.docs.pages import ROOT
from tests.kit.turns import IN_TURN, VARIABLE, at_their_turn, in_turn, turn_of

MAJORS = [14, 15, 18]
CASES = [
    *(f"test_a[pg{major}-{case}-pg]" for major in MAJORS for case in range(6)),
    *(f"test_b[{case}-pg{major}]" for case in "xy" for major in MAJORS),
    *(f"test_c[pg{major}]" for major in MAJORS),
]


def due(turn: int) -> list[str]:
    return at_their_turn(CASES, major_of, lambda name: name, MAJORS, turn)


def major_of(name: str) -> int | None:
    found = re.search(r"pg(\d+)", name)
    return None if found is None else int(found[1])


def test_in_a_run_each_case_is_at_one_server_and_over_the_turns_at_each() -> None:
    runs = [due(turn) for turn in range(len(MAJORS))]
    for run in runs:
        assert sorted(re.sub(r"pg\d+", "", one) for one in run) == sorted({re.sub(r"pg\d+", "", one) for one in CASES})
    assert Counter(one for run in runs for one in run) == Counter(CASES)


def test_in_a_run_each_server_has_its_part_of_a_tests_cases() -> None:
    for turn in range(len(MAJORS)):
        parts = Counter(major_of(one) for one in due(turn) if one.startswith("test_a"))
        assert parts == dict.fromkeys(MAJORS, 2)


def test_what_is_at_no_server_is_there_in_every_turn() -> None:
    for turn in range(2):
        assert at_their_turn(["test_d", "test_e[x]"], lambda _: None, str, [15, 18], turn) == ["test_d", "test_e[x]"]


def test_the_turn_is_drawn_once_for_all_processes_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv(VARIABLE, "1")
    assert turn_of(1) == 1  # what is said counts
    monkeypatch.delenv(VARIABLE)
    drawn = turn_of(1000)
    assert os.environ[VARIABLE] == str(drawn)
    assert {turn_of(1000) for _ in range(5)} == {drawn}


def test_the_files_on_the_list_exist_and_expect_the_same_of_every_version() -> None:
    for folder, names in IN_TURN.items():
        for name in names:
            path = ROOT / "tests" / folder / f"{name}.py"
            assert path.is_file(), path
            assert in_turn(path), path
            wants = re.search(r"\.major (?:<|>|==)|server_version_num", path.read_text(encoding="utf-8"))
            assert wants is None, f"{path} expects something else of another version"
    assert not in_turn(ROOT / "tests" / "escapes" / "test_attacks.py")


def test_a_run_takes_what_is_due_and_a_long_one_everything() -> None:
    """Asked of pytest itself, which collects one file of the list."""
    found: dict[str, list[str]] = {}
    for effort in ("1", "20"):
        environment = os.environ | {VARIABLE: "1", "PARTYWALL_TEST_EFFORT": effort, "PARTYWALL_TEST_MAJORS": "15,18"}
        command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:xdist", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, "tests/escapes/test_walls.py"],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"servers in turn: {VARIABLE}=1" in done.stdout
        found[effort] = re.findall(r"<(?:Function|Coroutine) (.*)>", done.stdout)
    quick, whole = (Counter(re.sub("pg1[58]", "pg", one) for one in found[effort]) for effort in ("1", "20"))
    assert len(quick) > 10
    assert set(quick.values()) == {1}
    assert whole == {name: 2 if "[pg" in name else 1 for name in quick}
    assert set(found["1"]) < set(found["20"])
