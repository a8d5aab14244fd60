"""usage: what the journal says, as a table or for programs, also of several journals."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from proxy.accounting.journal import NAME, Journal
from proxy.accounting.pending import Batch
from proxy.quota.usage import Usage
from tests.cli.conftest import Run

HOUR = 495_009  # 2026-06-21, 9 o'clock


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of this host, found by its settings."""
    monkeypatch.setenv("PARTYWALL_STATE_DIRECTORY", str(tmp_path))
    rows = {
        (HOUR + ahead, tenant, "app"): Usage(ahead + 1, 10, 100, 1000, 5, 6, 7)
        for ahead in (0, 1, 24)
        for tenant in ("acme", "globex")
    }
    journal = Journal(tmp_path / NAME, 1)
    journal.write(Batch(1, 0.0, rows))
    journal.close()
    return tmp_path / NAME


def test_a_table_has_one_line_for_each_day_and_login(run: Run, journal: Path) -> None:
    result = run("usage", "--tenant", "acme")
    assert result.exit_code == 0
    assert result.output == (
        "period      tenant  login  statements  rows  bytes_in  bytes_out  server_ms  wait_ms  refusals\n"
        "2026-06-21  acme    app             3    20       200       2000         10       12        14\n"
        "2026-06-22  acme    app            25    10       100       1000          5        6         7\n"
    )


@pytest.mark.parametrize(
    ("span", "periods"),
    [
        (("--since", "2026-06-22"), ["2026-06-22T09:00:00Z"]),
        (("--until", "2026-06-21T10:00"), ["2026-06-21T09:00:00Z"]),
        (("--since", "2026-06-21T09:30:00Z", "--until", "2026-06-22"), ["2026-06-21T10:00:00Z"]),
    ],
)
def test_a_span_is_of_whole_hours(run: Run, journal: Path, span: tuple[str, ...], periods: list[str]) -> None:
    result = run("usage", "--tenant", "acme", "--by", "hour", "--format", "json", *span)
    assert [one["period"] for one in json.loads(result.output)] == periods


def test_csv_by_month_is_for_programs(run: Run, journal: Path) -> None:
    result = run("usage", "--by", "month", "--format", "csv")
    records = list(csv.DictReader(io.StringIO(result.output)))
    assert [(one["period"], one["tenant"], one["statements"]) for one in records] == [
        ("2026-06", "acme", "28"),
        ("2026-06", "globex", "28"),
    ]


def test_journals_of_other_hosts_are_given_by_name(run: Run, journal: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    Journal(other, 2).write(Batch(1, 0.0, {(HOUR, "acme", "app"): Usage(1000)}))
    result = run("usage", str(journal), str(other), "--tenant", "acme", "--by", "month", "--format", "json")
    assert [one["statements"] for one in json.loads(result.output)] == [1028]


def test_what_is_no_journal_is_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTYWALL_STATE_DIRECTORY", str(tmp_path))
    missing = run("usage")
    assert (missing.exit_code, NAME in missing.stderr) == (1, True)
    (tmp_path / NAME).write_text("no database" * 100)
    damaged = run("usage")
    assert (damaged.exit_code, "not a database" in damaged.stderr) == (1, True)
