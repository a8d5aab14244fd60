"""What the drivers' own suites showed is recorded, each difference explained, and the page made of both."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.drivers.suites.play import Outcome, outcomes
from tests.drivers.suites.record import (
    OUTCOMES,
    PAGE,
    Difference,
    Explanation,
    Record,
    counted,
    differences,
    explained,
    explanations,
    load,
    page_part,
    renewed,
    save,
)

REPORT = """<testsuites><testsuite>
  <testcase classname="tests.test_a.TestA" name="test_1" file="tests/test_a.py"/>
  <testcase classname="tests.test_a" name="test_2[x]" file="tests/test_a.py"><skipped message="why"/></testcase>
  <testcase classname="tests.test_a" name="test_3" file="tests/test_a.py"><failure message="no&#10;more"/></testcase>
  <testcase classname="tests.test_a" name="test_3" file="tests/test_a.py"><error message="teardown"/></testcase>
</testsuite></testsuites>"""


def test_a_report_becomes_outcomes() -> None:
    assert outcomes(ET.ElementTree(ET.fromstring(REPORT))) == {
        "tests/test_a.py::TestA::test_1": Outcome("passed"),
        "tests/test_a.py::test_2[x]": Outcome("skipped", "why"),
        "tests/test_a.py::test_3": Outcome("failed", "no"),
    }


def test_what_does_not_end_alike_is_a_difference() -> None:
    direct = {"a": Outcome("passed"), "b": Outcome("failed", "x"), "c": Outcome("failed", "x")}
    proxied = {"a": Outcome("failed", "why"), "b": Outcome("failed", "y"), "d": Outcome("passed")}
    assert differences(direct, proxied) == (
        Difference("a", "passed", "failed", "why"),
        Difference("c", "failed", "absent", "x"),
        Difference("d", "absent", "passed", ""),
    )
    assert counted(direct) == {"passed": 1, "failed": 2, "skipped": 0}


def test_the_first_explanation_that_covers_a_difference_explains_it(tmp_path: Path) -> None:
    one, other = Difference("t::a", "passed", "failed", "utf"), Difference("t::b", "passed", "failed", "pid")
    records = [Record("s", "1", "2", "PostgreSQL 18", {}, {}, (one, other))]
    why = [Explanation("by its words", said="ut*"), Explanation("by its name", tests=("*::a",))]
    found, left = explained(records, why)
    assert [len(tests) for tests in found.values()] == [1, 0]
    assert left == [("s", other)]
    counts = dict.fromkeys(("passed", "failed", "skipped"), 1)
    records = [Record("s", "1", "2", "PostgreSQL 18", counts, counts, (one, other))]
    assert "| 1 | s: `a` | by its words |" in page_part(records, why)
    assert "not explained" in page_part(records, why)
    save(records, tmp_path / "outcomes.json")
    assert load(tmp_path / "outcomes.json") == records


def test_every_difference_on_record_is_explained_and_every_explanation_needed() -> None:
    found, left = explained(load(), explanations())
    assert left == []
    assert [reason.why for reason, tests in found.items() if not tests] == []


def test_the_page_is_made_of_the_record() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert renewed(text) == text
    assert json.loads(OUTCOMES.read_text(encoding="utf-8"))
