"""docs/security.md names tests that exist, every channel of its list, and the catalogs as the data has them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.kit import security

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
PAGE = security.PAGE.read_text(encoding="utf-8")


def test_the_made_part_of_the_page_is_current() -> None:
    assert len(security.MARKERS.findall(PAGE)) == 1
    assert security.renewed(PAGE) == PAGE, f"docs/security.md is out of date; run: {security.COMMAND}"


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(PAGE))))
def test_a_test_that_the_page_names_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    tests = {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in tests or (not name and any(one.startswith("test_") for one in tests))


def test_every_channel_has_a_countermeasure_and_a_test() -> None:
    part = PAGE.partition("## Channels\n")[2].partition("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) > 25
    for row in rows:
        channel, how, tests = (one.strip() for one in row.strip("|").split(" | "))
        assert channel
        assert how
        assert NAMED.search(tests), f"no test is named for: {channel}"


def test_what_stays_open_names_the_profile_that_closes_it() -> None:
    part = PAGE.partition("## What stays open\n")[2].partition("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) >= 9
    assert all(len(row.strip("|").split(" | ")) == 3 for row in rows)
