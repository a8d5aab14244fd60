"""What is told of a limit that is used up: which, how much of how much, when it opens again, and the way out."""

from __future__ import annotations

import pytest

from proxy.quota.exceeded import Exceeded, gauge_exceeded, rate_exceeded, too_many_together


@pytest.mark.parametrize(
    ("told", "message", "detail"),
    [
        (
            rate_exceeded("statements_per_second", False, 1.0, (500.0, 500.0), 500.0, 0.002),
            "quota exceeded: statements per second", "Limit 500 per second, used 500; it opens again in 0.002 s.",
        ),
        (
            rate_exceeded("write.statements_per_second", False, 1.0, (0.5, 3.0), 3.0, 2.0),
            "quota exceeded: write statements per second",
            "Limit 0.5 per second with a burst of 3, used 3; it opens again in 2 s.",
        ),
        (
            rate_exceeded("rows_per_minute", True, 60.0, (1000.0, 1000.0), 1423.0, 25.38),
            "quota exceeded: rows per minute",
            "Of this login: limit 1000 rows per minute, used 1423; it opens again in 25.38 s.",
        ),
        (
            rate_exceeded("server_time_per_hour", False, 3600.0, (60.0, 60.0), 61.25, 75.0),
            "quota exceeded: server time per hour", "Limit 60 s per hour, used 61.25 s; it opens again in 75 s.",
        ),
        (
            gauge_exceeded("ddl.concurrent_statements", True, 1, 1),
            "quota exceeded: ddl concurrent statements",
            "Of this login: limit 1, used 1; it opens again when one of them has ended.",
        ),
        (
            too_many_together("statements_per_second", False, 5.0, 30),
            "quota exceeded: statements per second",
            "30 statements were sent together, and no more than 5 are ever admitted at once.",
        ),
    ],
)  # fmt: skip
def test_it_is_said_which_limit_how_much_is_used_and_when_it_opens_again(
    told: Exceeded, message: str, detail: str
) -> None:
    assert (told.message, told.detail) == (message, detail)


def test_a_limit_that_opens_at_once_is_never_said_to_open_in_no_time() -> None:
    assert rate_exceeded("rows_per_minute", False, 60.0, (9.0, 9.0), 9.0, 0.0).detail.endswith("in 0.001 s.")


def test_what_is_counted_in_whole_is_told_in_whole() -> None:
    assert "used 20;" in rate_exceeded("statements_per_second", False, 1.0, (20.0, 20.0), 19.969, 0.1).detail
    assert "used 1.25 s;" in rate_exceeded("server_time_per_hour", False, 3600.0, (1.0, 1.0), 1.25, 0.1).detail


def test_the_hint_names_the_key_and_the_rule_tells_whose_it_is() -> None:
    one = rate_exceeded("write.statements_per_second", True, 1.0, (5.0, 5.0), 5.0, 1.0)
    assert "write.statements_per_second" in one.hint
    assert one.rule == "quota.login.write.statements_per_second"
    assert gauge_exceeded("concurrent_statements", False, 1, 1).rule == "quota.concurrent_statements"
