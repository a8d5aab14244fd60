"""No picture of a process has the number of another, whatever it is a picture of."""

from __future__ import annotations

from proxy.catalog.versions import next_version


def test_no_number_is_given_twice_and_each_is_greater_than_those_before() -> None:
    given = [next_version() for _ in range(100)]
    assert given == sorted(set(given))
