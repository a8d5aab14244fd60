"""What was found, kept in outcomes.json; why each difference is there, in explained.yaml; and the page's part of both.

A difference without an explanation, and an explanation of nothing, are mistakes: tests/drivers/test_suites.py looks.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from tests.drivers.suites.play import Outcome

HERE = Path(__file__).resolve().parent
OUTCOMES = HERE / "outcomes.json"
EXPLAINED = HERE / "explained.yaml"
PAGE = HERE.parents[2] / "docs" / "compatibility.md"
MARKERS = re.compile(r"(<!-- made: suites -->\n).*?(<!-- end: suites -->)", re.DOTALL)
VERDICTS = ("passed", "failed", "skipped")
SHOWN = 3  # tests that a line names


@dataclass(frozen=True, slots=True)
class Difference:
    """One test that does not end alike. said: the first line of the failure through the proxy, or directly."""

    test: str
    direct: str
    proxied: str
    said: str


@dataclass(frozen=True, slots=True)
class Record:
    """One suite's two runs."""

    suite: str
    version: str
    driver: str
    server: str
    direct: Mapping[str, int]
    proxied: Mapping[str, int]
    differ: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why some tests differ. suite: whose; tests and said: patterns, all that match are meant."""

    why: str
    suite: str = "*"
    tests: tuple[str, ...] = ("*",)
    said: str = "*"

    def covers(self, suite: str, one: Difference) -> bool:
        """Is it about this difference?"""
        named = any(fnmatchcase(one.test, pattern) for pattern in self.tests)
        return named and fnmatchcase(suite, self.suite) and fnmatchcase(one.said, self.said)


def differences(direct: Mapping[str, Outcome], proxied: Mapping[str, Outcome]) -> tuple[Difference, ...]:
    """By test; one that was not run somewhere is `absent` there."""
    absent = Outcome("absent")
    found = []
    for test in sorted({*direct, *proxied}):
        one, other = direct.get(test, absent), proxied.get(test, absent)
        if one.verdict != other.verdict:
            found.append(Difference(test, one.verdict, other.verdict, other.said or one.said))
    return tuple(found)


def counted(outcomes: Mapping[str, Outcome]) -> dict[str, int]:
    """How many ended how."""
    found = Counter(one.verdict for one in outcomes.values())
    return {verdict: found[verdict] for verdict in VERDICTS}


def load(path: Path = OUTCOMES) -> list[Record]:
    """What was recorded."""
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return [Record(**{**one, "differ": tuple(Difference(**each) for each in one["differ"])}) for one in found]


def save(records: list[Record], path: Path = OUTCOMES) -> None:
    """Records anew."""
    path.write_text(json.dumps([asdict(one) for one in records], indent=1) + "\n", encoding="utf-8")


def explanations(path: Path = EXPLAINED) -> list[Explanation]:
    """In the order of the file: the first that covers a difference explains it."""
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Explanation(**{**one, "tests": tuple(one.get("tests", ("*",)))}) for one in found]


def explained(
    records: list[Record], why: list[Explanation]
) -> tuple[dict[Explanation, list[tuple[str, Difference]]], list[tuple[str, Difference]]]:
    """The differences by what explains them, and those that nothing explains."""
    found: dict[Explanation, list[tuple[str, Difference]]] = {one: [] for one in why}
    left = []
    for record in records:
        for one in record.differ:
            reason = next((each for each in why if each.covers(record.suite, one)), None)
            if reason is None:
                left.append((record.suite, one))
            else:
                found[reason].append((record.suite, one))
    return found, left


def page_part(records: list[Record], why: list[Explanation]) -> str:
    """The two tables, in Markdown."""
    lines = [
        "| suite | driver | server | | passed | failed | skipped |",
        "| --- | --- | --- | --- | ---: | ---: | ---: |",
    ]
    for record in records:
        head = f"| {record.suite} {record.version} | {record.driver} | {record.server} |"
        for where, counts in (("directly", record.direct), ("through the proxy", record.proxied)):
            lines.append(f"{head} {where} | {' | '.join(str(counts[one]) for one in VERDICTS)} |")
    lines += ["", "| tests that end otherwise | for example | why |", "| ---: | --- | --- |"]
    found, left = explained(records, why)
    for reason, tests in found.items():
        if tests:
            lines.append(f"| {len(tests)} | {_examples(tests)} | {reason.why} |")
    lines += [f"| 1 | {_examples([one])} | not explained |" for one in left]
    return "\n".join(lines)


def _examples(tests: list[tuple[str, Difference]]) -> str:
    names = dict.fromkeys(f"{suite}: `{re.split(r'::|/', one.test)[-1].partition('[')[0]}`" for suite, one in tests)
    return ", ".join(list(names)[:SHOWN])


def renewed(text: str) -> str:
    """The page with its part made anew."""
    part = page_part(load(), explanations())
    return MARKERS.sub(lambda found: f"{found[1]}{part}\n{found[2]}", text)
