"""The files of whole hours: each is written whole and once, also after downtime, a crash, or beside another process."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path

import pytest

from proxy.accounting.export import HEADER, Format, content, export, write_once
from proxy.accounting.journal import Journal
from proxy.quota.usage import Usage
from tests.accounting.conftest import Failing, batch


@pytest.fixture
def journal(path: Path) -> Journal:
    """Three hours of two logins and two processes."""
    for process in (1, 2):
        one = Journal(path, process)
        one.write(batch(1, {(hour, "acme", login): hour for hour in (3, 4, 9) for login in ("app", "report")}))
        one.close()
    return Journal(path, 3)


def test_each_hour_before_has_one_file(journal: Journal, tmp_path: Path) -> None:
    assert export(journal, 9, tmp_path / "bill", "csv") == 2
    assert sorted(one.name for one in (tmp_path / "bill").iterdir()) == [
        "usage-1970-01-01T03Z.csv",
        "usage-1970-01-01T04Z.csv",
    ]
    with (tmp_path / "bill" / "usage-1970-01-01T04Z.csv").open(encoding="utf-8") as file:
        header, *records = csv.reader(file)
    assert tuple(header) == HEADER
    assert [record[:4] for record in records] == [
        ["1970-01-01T04:00:00Z", "acme", "app", "8"],
        ["1970-01-01T04:00:00Z", "acme", "report", "8"],
    ]


def test_json_has_the_same(journal: Journal, tmp_path: Path) -> None:
    export(journal, 9, tmp_path, "json")
    (one, _) = json.loads((tmp_path / "usage-1970-01-01T03Z.json").read_text(encoding="utf-8"))
    assert one == dict(zip(HEADER, ("1970-01-01T03:00:00Z", "acme", "app", 6, 0, 0, 0, 0, 0, 0), strict=True))


def test_what_has_a_file_is_not_written_again(journal: Journal, tmp_path: Path) -> None:
    export(journal, 9, tmp_path, "csv")
    (tmp_path / "usage-1970-01-01T03Z.csv").unlink()  # billing has taken it
    assert export(journal, 9, tmp_path, "csv") == 0
    assert export(journal, 10, tmp_path, "csv") == 1
    names = sorted(one.name for one in tmp_path.glob("usage-*"))
    assert names == ["usage-1970-01-01T04Z.csv", "usage-1970-01-01T09Z.csv"]


@pytest.mark.parametrize("words", ["UPDATE hours SET closed", "SELECT tenant", "UPDATE hours SET exported"])
@pytest.mark.parametrize("after", [False, True])
def test_after_a_failure_anywhere_the_files_are_those_that_they_would_have_been(
    path: Path, journal: Journal, failing: Failing, tmp_path: Path, words: str, after: bool
) -> None:
    torn = Journal(path, 4, failing.connect)
    failing.words, failing.after = words, after
    with pytest.raises(sqlite3.OperationalError):
        export(torn, 9, tmp_path / "torn", "csv")
    failing.words = ""
    torn.write(batch(1, {(3, "acme", "app"): 1}))  # late
    export(torn, 9, tmp_path / "torn", "csv")
    got = {one.name: one.read_bytes() for one in (tmp_path / "torn").iterdir()}
    late = 3 if words == "UPDATE hours SET closed" else 5  # the first that is open
    wanted = {}
    for hour, counts in {3: (6, 6), 4: (8, 8), 5: (0, 0)}.items():
        app, report = counts[0] + (hour == late), counts[1]
        rows = [("acme", login, Usage(count)) for login, count in (("app", app), ("report", report)) if count]
        if rows:
            wanted[f"usage-1970-01-01T0{hour}Z.csv"] = content(hour, rows, "csv")
    assert got == wanted


def test_two_processes_that_export_at_once_leave_one_file_each_hour(
    path: Path, journal: Journal, tmp_path: Path
) -> None:
    journal.close_hours(9)
    write_once(tmp_path / "usage-1970-01-01T03Z.csv", content(3, journal.hour(3), "csv"))  # the other was first
    assert export(journal, 9, tmp_path, "csv") == 2
    assert len(list(tmp_path.glob("usage-*"))) == 2
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("form", ["csv", "json"])
def test_another_hosts_file_of_the_same_name_stays_as_it_is(journal: Journal, tmp_path: Path, form: Format) -> None:
    other = tmp_path / f"usage-1970-01-01T03Z.{form}"
    other.write_text("of another host\n")
    with pytest.raises(FileExistsError):
        export(journal, 9, tmp_path, form)
    assert other.read_text() == "of another host\n"
    other.unlink()
    assert export(journal, 9, tmp_path, form) == 2
