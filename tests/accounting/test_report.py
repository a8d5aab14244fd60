"""Reports: sums by period, of one journal or of many, and a journal that is given twice counts once."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from proxy.accounting.journal import Journal
from proxy.accounting.report import By, Line, Span, read, records
from proxy.quota.usage import Usage
from tests.accounting.conftest import batch

DAY, MONTH = 24, 24 * 31


@pytest.fixture
def journal(path: Path) -> Journal:
    found = Journal(path, 1)
    hours = (0, 1, DAY, MONTH)
    found.write(batch(1, {(hour, tenant, "app"): 1 for hour in hours for tenant in ("acme", "globex")}))
    return found


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ("hour", {"1970-01-01T00:00:00Z": 1, "1970-01-01T01:00:00Z": 1, "1970-01-02T00:00:00Z": 1}),
        ("day", {"1970-01-01": 2, "1970-01-02": 1}),
        ("month", {"1970-01": 3}),
    ],
)
def test_hours_are_added_up(journal: Journal, path: Path, by: By, wanted: dict[str, int]) -> None:
    lines = read([path], Span(until=MONTH, tenant="acme"), by)
    assert {line.period: line.usage.statements for line in lines} == wanted
    assert {line.tenant for line in lines} == {"acme"}


def test_a_span_holds_its_first_hour_and_not_its_last(journal: Journal, path: Path) -> None:
    parts = [read([path], Span(since, until), "month") for since, until in ((0, 1), (1, DAY), (DAY, MONTH + 1))]
    assert [sum(line.usage.statements for line in lines) for lines in parts] == [2, 2, 4]


def test_journals_of_several_hosts_are_one_report(journal: Journal, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    Journal(other, 2).write(batch(1, {(0, "acme", "app"): 10}))
    (line,) = read([path, other], Span(until=1, tenant="acme"), "hour")
    assert line == Line("1970-01-01T00:00:00Z", "acme", "app", Usage(11))
    assert records([line]) == [("1970-01-01T00:00:00Z", "acme", "app", 11, 0, 0, 0, 0, 0, 0)]


def test_a_copy_of_a_journal_beside_it_adds_nothing(journal: Journal, path: Path, tmp_path: Path) -> None:
    journal.close()
    copy = tmp_path / "copy.sqlite"
    shutil.copy(path, copy)
    journal.write(batch(2, {(0, "acme", "app"): 5}))
    for paths in ([path, copy], [copy, path], [path, path]):
        (line,) = read(paths, Span(until=1, tenant="acme"), "hour")
        assert line.usage.statements == 6


def test_reading_writes_nothing(journal: Journal, path: Path) -> None:
    journal.close()
    before = path.read_bytes()
    read([path], Span(), "hour")
    assert path.read_bytes() == before


def test_a_journal_that_is_just_being_made_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "fresh").touch()
    assert read([tmp_path / "fresh"], Span(), "hour") == []


def test_what_is_no_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read([tmp_path / "nowhere"], Span(), "hour")
    (tmp_path / "text").write_text("no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        read([tmp_path / "text"], Span(), "hour")
