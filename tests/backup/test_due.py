"""When a backup is due: once for all that was missed, spread, and later and later after failures."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.backup.due import Calendar, due, part_of, retry

NIGHT = "0 2 * * *"


def at(day: int, hour: int, minute: int = 0) -> float:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp()


def test_the_next_is_due_at_the_next_moment_of_the_schedule() -> None:
    assert due(Calendar(), NIGHT, at(25, 2), 0.0, 0.0, 600.0) == at(26, 2)
    assert due(Calendar(), NIGHT, at(25, 1, 59), 0.0, 0.0, 600.0) == at(25, 2)


def test_all_that_was_missed_is_one_that_is_due_at_once() -> None:
    missed = due(Calendar(), NIGHT, at(20, 2), 0.0, 0.5, 600.0)
    assert missed < at(26, 9)
    assert due(Calendar(), NIGHT, at(26, 9), 0.0, 0.5, 600.0) == at(27, 2, 5)


def test_who_has_none_is_due_as_soon_as_it_is_known() -> None:
    assert due(Calendar(), NIGHT, None, at(26, 9), 0.5, 600.0) == at(26, 9, 5)


def test_the_spread_is_less_than_half_of_the_time_to_the_next() -> None:
    assert due(Calendar(), "*/10 * * * *", at(26, 9), 0.0, 1.0, 3600.0) == at(26, 9, 15)


@given(st.integers(0, 2_000_000_000), st.floats(0, 1, exclude_max=True), st.floats(0, 100_000))
def test_what_was_begun_when_it_was_due_is_not_due_again_at_once(since: int, part: float, spread: float) -> None:
    first = due(Calendar(), NIGHT, since, 0.0, part, spread)
    assert first > since
    assert due(Calendar(), NIGHT, int(first) + 1, 0.0, part, spread) - first > 40_000


@given(st.text(max_size=9), st.text(max_size=9))
def test_a_tenants_part_of_the_spread_is_always_the_same(tenant: str, database: str) -> None:
    assert 0 <= part_of(tenant, database) < 1
    assert part_of(tenant, database) == part_of(tenant, database)


def test_tenants_are_spread() -> None:
    parts = sorted(part_of(f"t{number}", "shop") for number in range(1000))
    assert max(b - a for a, b in pairwise(parts)) < 0.02


def test_retries_come_later_and_later_and_never_end() -> None:
    assert [retry(number) for number in (1, 2, 3, 7, 99999)] == [60.0, 120.0, 240.0, 3600.0, 3600.0]


@given(
    st.lists(st.tuples(st.sampled_from([NIGHT, "*/7 * * * *", "0 0 1 * *"]), st.integers(0, 40_000_000)), max_size=30)
)
def test_a_calendar_that_was_asked_before_says_what_a_new_one_does(asked: list[tuple[str, int]]) -> None:
    calendar = Calendar()
    for schedule, since in asked:
        assert calendar.after(schedule, since) == Calendar().after(schedule, since)
