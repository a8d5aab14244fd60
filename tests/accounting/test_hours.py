"""Hours are of UTC, whatever the machine thinks its zone is."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.accounting.hours import SECONDS, begin_of, hour_of, named, since


@given(st.floats(0, 4e9))
def test_a_time_lies_in_its_hour(moment: float) -> None:
    begin = begin_of(hour_of(moment)).timestamp()
    assert begin <= moment < begin + SECONDS


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001  a moment without a zone is meant
def test_hours_since_a_moment_begin_with_it_or_after_it(moment: datetime) -> None:
    hour = since(moment)
    assert begin_of(hour) >= moment.replace(tzinfo=UTC) > begin_of(hour - 1) if hour else True


def test_the_zone_of_a_moment_counts() -> None:
    east = datetime(2026, 11, 26, 9, tzinfo=timezone(timedelta(hours=2)))
    assert named(since(east)) == "2026-11-26T07Z"


def test_the_zone_of_the_machine_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert named(hour_of(1_795_683_600.0)) == "2026-11-26T09Z"
    finally:
        monkeypatch.undo()
        time.tzset()
