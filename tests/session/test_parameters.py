"""Settings of a session: what is to be said to a server connection, and what a ceiling forbids."""

from __future__ import annotations

import pytest

from proxy.session.parameters import difference, exceeds, milliseconds, quote_name, quote_value


def test_the_difference_is_what_turns_one_into_the_other_and_no_more() -> None:
    assert difference({"a": "1"}, {"a": "1"}) == ""
    assert difference({"a": "1"}, {}) == 'SET "a" TO 1'
    assert difference({}, {"a": "1"}) == 'RESET "a"'
    assert difference({"a": "2", "c": "3"}, {"a": "1", "b": "1"}) == 'RESET "b"; SET "a" TO 2; SET "c" TO 3'


def test_names_and_values_cannot_end_their_quotes() -> None:
    assert quote_name('a".b"; DROP') == '"a"""."b""; DROP"'
    assert quote_value("x'; DROP TABLE t --") == "'x''; DROP TABLE t --'"


@pytest.mark.parametrize(
    ("value", "length"),
    [
        ("10", 10),
        ("'10ms'", 10),
        ("10s", 10_000),
        (" 2 min ", 120_000),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
        ("5us", 0.005),
    ],
)
def test_a_timeout_is_read_as_the_server_reads_it(value: str, length: float) -> None:
    assert milliseconds(value) == pytest.approx(length)


@pytest.mark.parametrize("value", ["0", "-1", "nonsense", "", "1 fortnight", "31s", "1min"])
def test_none_at_all_and_what_cannot_be_read_are_longer_than_any_ceiling(value: str) -> None:
    assert exceeds(value, 30.0)


@pytest.mark.parametrize("value", ["30s", "'30000'", "1ms"])
def test_what_is_within_the_ceiling_may_be_set(value: str) -> None:
    assert not exceeds(value, 30.0)
