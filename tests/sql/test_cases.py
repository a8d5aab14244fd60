"""Golden decisions: what becomes of one statement of every kind, as `partywall explain` prints it.

A file of cases/ is a list of statement, line of dashes, decision, line of equals signs. A change that is meant is
written down by PARTYWALL_UPDATE_GOLDENS=1; the difference is then read in the review.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.catalog.model import Catalog
from proxy.cli.explain import described, explained
from proxy.sql.plan import StatementKind
from proxy.tenancy.load import load
from proxy.tenancy.policy import Grant
from tests.kit.rules import write_sample_rules
from tests.sql.worlds import sample_catalog

CASES = Path(__file__).with_name("cases")
FILES = sorted(CASES.glob("*.txt"))
ASKED, END = "----\n", "====\n"


def cases(file: Path) -> list[tuple[str, str]]:
    """(statement, decision) in order."""
    found = []
    for part in file.read_text(encoding="utf-8").split(END)[:-1]:
        statement, _, decision = part.partition(ASKED)
        found.append((statement, decision))
    return found


@pytest.fixture(scope="module")
def catalog(sample_port: int) -> Catalog:
    return sample_catalog(sample_port)


@pytest.fixture
def grant(tmp_path: Path, sample_port: int) -> Grant:
    write_sample_rules(tmp_path, sample_port, "shared")
    book = load(tmp_path, {}, 1)
    login = book.login("acme_app")
    assert login is not None
    found = book.grant(login, "shared")
    assert found is not None
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda one: one.stem)
def test_every_statement_becomes_what_was_written_down(file: Path, catalog: Catalog, grant: Grant) -> None:
    made = []
    for statement, _ in cases(file):
        decisions = explained(catalog, grant, 1, statement.rstrip("\n"))
        told = "\n".join("\n".join(described(decision, plan)) for decision, plan in decisions)
        made.append((statement, told + "\n"))
    if os.environ.get("PARTYWALL_UPDATE_GOLDENS") == "1":
        file.write_text("".join(one + ASKED + told + END for one, told in made), encoding="utf-8")
    assert made == cases(file)


def test_every_kind_of_statement_has_a_case() -> None:
    text = "".join(told for file in FILES for _, told in cases(file))
    kinds = {one for one in StatementKind if f"({one.value})" in text}
    # What a client sends as nothing, and what is decided as those beside it.
    assert set(StatementKind) - kinds == {
        StatementKind.EMPTY, StatementKind.PREPARE, StatementKind.CURSOR,
    }  # fmt: skip
