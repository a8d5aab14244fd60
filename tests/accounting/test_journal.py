"""The journal: a batch is in it once or not at all, whatever fails; hours that were closed do not change."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.accounting.journal import NAME, Journal
from proxy.accounting.pending import Pending
from proxy.quota.usage import Usage
from tests.accounting.conftest import Failing, batch, lines, statements

ROW = (7, "acme", "app")


def test_differences_add_up_by_hour_tenant_and_login(path: Path) -> None:
    journal = Journal(path, 1)
    journal.write(batch(1, {ROW: 3, (8, "acme", "app"): 1}))
    journal.write(batch(2, {ROW: 4, (7, "acme", "report"): 5, (7, "globex", "app"): 6}))
    assert [(line.tenant, line.login, line.usage.statements) for line in lines(path)] == [
        ("acme", "app", 7),
        ("acme", "report", 5),
        ("globex", "app", 6),
        ("acme", "app", 1),
    ]


def test_every_figure_comes_back_as_it_was_written(path: Path) -> None:
    usage = Usage._make(range(1, len(Usage._fields) + 1))
    Journal(path, 1).write(batch(1, {})._replace(rows={ROW: usage}))
    (line,) = lines(path)
    assert line.usage == usage


@pytest.mark.parametrize("words", ["BEGIN", "SELECT batch", "\nINSERT", "INSERT", "COMMIT"])
@pytest.mark.parametrize("after", [False, True])
def test_a_batch_that_failed_anywhere_is_in_once_when_it_is_tried_again(
    path: Path, failing: Failing, words: str, after: bool
) -> None:
    journal = Journal(path, 1, failing.connect)
    journal.write(batch(1, {ROW: 3}))
    failing.words, failing.after = words.strip(), after
    with pytest.raises(sqlite3.OperationalError):
        journal.write(batch(2, {ROW: 4}))
    failing.words = ""
    journal.write(batch(2, {ROW: 4}))
    journal.write(batch(2, {ROW: 4}))
    assert statements(path) == 7


def test_two_processes_write_the_same_file_at_once(path: Path) -> None:
    journals = [Journal(path, process) for process in (1, 2)]
    start = threading.Barrier(2)

    def work(journal: Journal) -> None:
        start.wait()
        for number in range(1, 51):
            journal.write(batch(number, {ROW: 1}))

    threads = [threading.Thread(target=work, args=(one,)) for one in journals]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert statements(path) == 100


def test_a_full_disk_is_an_error_and_the_batch_goes_in_when_there_is_room(path: Path) -> None:
    journal = Journal(path, 1)
    journal.write(batch(1, {ROW: 3}))
    large = batch(2, {(7, "acme", "x" * 500 + str(number)): 1 for number in range(100)})
    full = Journal(path, 1, _limited)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        full.write(large)
    assert statements(path) == 3
    journal.write(large)
    assert statements(path) == 103


def _limited(*arguments: object, **named: object) -> sqlite3.Connection:
    connection = sqlite3.connect(*arguments, **named)  # type: ignore[call-overload]  # as Journal calls it
    connection.execute("PRAGMA max_page_count = 12")
    return connection  # type: ignore[no-any-return]  # of the call that is not checked


def test_a_file_that_another_holds_locked_is_an_error_until_it_is_free(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.accounting.journal.BUSY", 0.01)
    journal = Journal(path, 1)
    journal.write(batch(1, {ROW: 3}))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        fresh = Journal(path, 1)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            fresh.write(batch(2, {ROW: 4}))
    fresh.write(batch(2, {ROW: 4}))
    assert statements(path) == 7


def test_a_file_that_is_no_journal_is_an_error_and_left_alone_and_a_new_one_is_begun_once_it_is_away(
    path: Path, tmp_path: Path
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)
    journal = Journal(path, 1)
    with pytest.raises(sqlite3.DatabaseError):
        journal.write(batch(1, {ROW: 3}))
    path.rename(tmp_path / "away")
    assert (tmp_path / "away").read_bytes() == b"no database at all" * 100
    journal.write(batch(1, {ROW: 3}))
    assert statements(path) == 3


def test_a_file_that_is_put_away_while_it_is_open_is_written_no_more(path: Path, tmp_path: Path) -> None:
    journal = Journal(path, 1)
    journal.write(batch(1, {ROW: 3}))
    away = tmp_path / "away"
    away.mkdir()
    for one in sorted(path.parent.iterdir()):
        one.rename(away / one.name)
    journal.write(batch(2, {ROW: 4}))
    assert statements(path) == 4
    assert statements(away / NAME) == 3


def test_a_journal_of_a_later_version_is_refused(path: Path) -> None:
    Journal(path, 1).write(batch(1, {ROW: 3}))
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(sqlite3.DatabaseError, match="version 99"):
        Journal(path, 1).write(batch(2, {ROW: 3}))


def test_what_comes_late_for_a_closed_hour_is_in_the_first_open_one(path: Path) -> None:
    journal = Journal(path, 1)
    journal.write(batch(1, {ROW: 3}))
    assert journal.close_hours(8) == [7]
    journal.write(batch(2, {ROW: 4, (9, "acme", "app"): 1}))
    assert [(line.period, line.usage.statements) for line in lines(path)] == [
        ("1970-01-01T07:00:00Z", 3),
        ("1970-01-01T08:00:00Z", 4),
        ("1970-01-01T09:00:00Z", 1),
    ]


def test_hours_to_come_stay_open_however_far_the_clock_was_ahead(path: Path) -> None:
    journal = Journal(path, 1)
    journal.write(batch(1, {ROW: 3}))
    assert journal.close_hours(1_000_000) == [7]
    journal.write(batch(2, {(8, "acme", "app"): 4}))
    assert [line.period for line in lines(path)] == ["1970-01-01T07:00:00Z", "1970-01-01T08:00:00Z"]


def test_an_hour_is_to_be_exported_until_it_is(path: Path) -> None:
    journal = Journal(path, 1)
    journal.write(batch(1, {(hour, "acme", "app"): 1 for hour in (3, 5, 9)}))
    assert journal.close_hours(9) == [3, 5]
    journal.exported(3)
    assert journal.close_hours(9) == [5]
    journal.exported(5)
    assert journal.close_hours(9) == []


def test_old_hours_are_dropped_and_with_an_export_only_those_that_have_a_file(path: Path) -> None:
    journal = Journal(path, 1)
    journal.write(batch(1, {(hour, "acme", "app"): 1 for hour in (3, 5, 9)}))
    journal.close_hours(9)
    journal.exported(3)
    journal.forget(9, True)
    assert statements(path) == 2
    journal.forget(9, False)
    assert statements(path) == 1


class Story(RuleBasedStateMachine):
    """Two processes count, write, fail before or after the commit, crash, and have hours closed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(prefix="partywall-journal-")
        self.path = Path(self.folder.name) / NAME
        self.failing = Failing()
        self.serial = 0
        self.pending = [Pending(limit=4), Pending(limit=4)]
        self.journals = [self._journal(), self._journal()]
        self.counted = [0, 0]  # of the living processes
        self.sure = [0, 0]  # of them, known to be written
        self.sent = [0, 0]  # of them, in batches that were tried
        self.dead_least = self.dead_most = 0  # of those that crashed
        self.exported: dict[int, int] = {}
        self.hour = 100

    def _journal(self) -> Journal:
        self.serial += 1
        return Journal(self.path, self.serial, self.failing.connect)

    @rule(which=st.integers(0, 1), statements=st.integers(1, 9))
    def count(self, which: int, statements: int) -> None:
        self.counted[which] += statements

    @rule(hours=st.integers(-2, 3))
    def clock(self, hours: int) -> None:
        self.hour += hours

    @rule(which=st.integers(0, 1), words=st.sampled_from(["", "BEGIN", "INSERT OR", "COMMIT"]), after=st.booleans())
    def write(self, which: int, words: str, after: bool) -> None:
        pending = self.pending[which]
        pending.take([("acme", "app", Usage(statements=self.counted[which]))], self.hour, float(self.hour))
        one = pending.batch()
        if one is None:
            return
        in_batch = self.counted[which] - sum(usage.statements for usage in pending.rest().values())
        in_batch += sum(usage.statements for usage in one.rows.values())
        self.sent[which] = in_batch
        self.failing.words, self.failing.after = words, after
        try:
            self.journals[which].write(one)
        except sqlite3.OperationalError:
            return
        finally:
            self.failing.words = ""
        pending.written()
        self.sure[which] = in_batch

    @rule(which=st.integers(0, 1))
    def crash(self, which: int) -> None:
        self.journals[which].close()
        self.journals[which], self.pending[which] = self._journal(), Pending(limit=4)
        self.dead_least += self.sure[which]
        self.dead_most += self.sent[which]
        self.counted[which] = self.sure[which] = self.sent[which] = 0

    @rule(which=st.integers(0, 1), ahead=st.integers(-3, 1))
    def export(self, which: int, ahead: int) -> None:
        for hour in self.journals[which].close_hours(self.hour + ahead):
            assert hour not in self.exported
            self.exported[hour] = sum(usage.statements for _, _, usage in self.journals[which].hour(hour))
            self.journals[which].exported(hour)

    @invariant()
    def the_journal_has_what_is_known_to_be_written_and_never_more_than_was_tried(self) -> None:
        there = statements(self.path)
        assert self.dead_least + sum(self.sure) <= there <= self.dead_most + sum(self.sent)

    @invariant()
    def an_exported_hour_does_not_change(self) -> None:
        if self.exported:
            found = {
                hour: sum(usage.statements for _, _, usage in self.journals[0].hour(hour)) for hour in self.exported
            }
            assert found == self.exported

    def teardown(self) -> None:
        for one in self.journals:
            one.close()
        self.folder.cleanup()


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(st.sampled_from(["ok", "before", "after"]), max_size=12))
@settings(max_examples=40, deadline=None)
def test_at_the_end_of_trouble_everything_is_there_once(outcomes: list[str]) -> None:
    with TemporaryDirectory(prefix="partywall-journal-") as folder:
        failing, pending, total = Failing(), Pending(), 0
        journal = Journal(Path(folder) / NAME, 1, failing.connect)
        for number, outcome in enumerate([*outcomes, "ok", "ok"]):
            total += number + 1
            pending.take([("acme", "app", Usage(statements=total))], number, float(number))
            one = pending.batch()
            assert one is not None
            failing.words, failing.after = "" if outcome == "ok" else "COMMIT", outcome == "after"
            try:
                journal.write(one)
            except sqlite3.OperationalError:
                continue
            pending.written()
        assert pending.rest() == {}
        assert statements(Path(folder) / NAME) == total
        journal.close()
