"""What is removed: never the newest, never one too many, and nothing twice, whatever the moments are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from proxy.backup.retention import PERIODS, unwanted
from proxy.tenancy.policy import Keep

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC).timestamp()
DAY = 86400.0
MOMENTS = st.lists(st.floats(NOW - 800 * DAY, NOW + 3 * DAY).map(round), max_size=60)
KEEPS = st.builds(Keep, st.integers(0, 9), st.integers(0, 6), st.integers(0, 14), st.integers(1, 6))


def test_two_years_of_nights_become_a_week_a_month_and_a_year() -> None:
    nights = [datetime(2026, 11, 26, 2, 0, tzinfo=UTC) - timedelta(days=number) for number in range(730)]
    gone = set(unwanted((one.timestamp() for one in nights), Keep(daily=7, weekly=4, monthly=12), NOW))
    left = [f"{one:%m-%d}" for one in nights if one.timestamp() not in gone]
    assert left == [
        *("11-26", "11-25", "11-24", "11-23", "11-22", "11-21", "11-20"),  # days; the 26th and 22nd are weeks, too
        *("11-15", "11-08"),
        *("10-31", "09-30", "08-31", "07-31", "06-30", "05-31", "04-30", "03-31", "02-28", "01-31", "12-31"),
    ]


def test_without_a_rule_nothing_goes() -> None:
    assert unwanted([NOW - day * DAY for day in range(1000)], None, NOW) == []


@given(MOMENTS, KEEPS)
def test_the_newest_is_never_removed_nor_are_the_least(moments: list[float], keep: Keep) -> None:
    gone = unwanted(moments, keep, NOW)
    past = sorted({one for one in moments if one <= NOW}, reverse=True)
    assert set(gone) <= set(past)
    assert not set(gone) & set(past[: keep.least])
    assert gone == sorted(gone)


@given(MOMENTS, KEEPS)
def test_what_is_of_a_time_to_come_changes_nothing(moments: list[float], keep: Keep) -> None:
    """A clock that was wrong once must not make all later archives the older ones."""
    assert unwanted(moments, keep, NOW) == unwanted([one for one in moments if one <= NOW], keep, NOW)


@given(MOMENTS, KEEPS)
def test_to_choose_again_chooses_nothing(moments: list[float], keep: Keep) -> None:
    left = set(moments) - set(unwanted(moments, keep, NOW))
    assert unwanted(left, keep, NOW) == []


@given(MOMENTS, KEEPS)
def test_each_of_the_last_periods_keeps_its_newest(moments: list[float], keep: Keep) -> None:
    past = [one for one in moments if one <= NOW]
    left = set(past) - set(unwanted(moments, keep, NOW))
    for name, period in PERIODS:
        newest: dict[tuple[int, ...], float] = {}
        for one in past:
            which = period(datetime.fromtimestamp(one, UTC))
            newest[which] = max(one, newest.get(which, one))
        assert left >= {newest[which] for which in sorted(newest, reverse=True)[: getattr(keep, name)]}


@given(MOMENTS, KEEPS, st.sampled_from(["daily", "weekly", "monthly", "least"]))
def test_to_keep_more_removes_no_more(moments: list[float], keep: Keep, name: str) -> None:
    more = Keep(**{one: getattr(keep, one) + (one == name) for one in ("daily", "weekly", "monthly", "least")})
    assert set(unwanted(moments, more, NOW)) <= set(unwanted(moments, keep, NOW))


@given(st.lists(st.integers(0, 400), min_size=1, max_size=40, unique=True), KEEPS)
def test_what_went_stays_superfluous_as_time_goes_on(days: list[int], keep: Keep) -> None:
    """Night after night, or all at once: the same is left."""
    nights = sorted(NOW - day * DAY for day in days)
    left: list[float] = []
    for night in nights:
        left.append(night)
        gone = set(unwanted(left, keep, night))
        left = [one for one in left if one not in gone]
    assert left == sorted(set(nights) - set(unwanted(nights, keep, NOW)))
