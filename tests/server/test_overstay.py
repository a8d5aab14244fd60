"""Timeouts of transactions, by a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from proxy.server.overstay import Overstay
from proxy.session.due import QUERY, Due
from proxy.tenancy.policy import Limits


def session(limits: Limits, **state: Any) -> Any:
    settings = SimpleNamespace(ended=0)
    return SimpleNamespace(
        limits=limits, in_transaction=True, turns=1, lease=object(), under=None, settings=settings, **state
    )


def code(watch: Overstay, one: Any, now: float) -> str | None:
    refusal = watch.refusal(one, now)
    return None if refusal is None else refusal.sqlstate


def test_who_says_nothing_in_a_transaction_is_sent_away_and_who_speaks_is_not() -> None:
    one, watch = session(Limits(idle_in_transaction_timeout=5.0)), Overstay()
    assert [code(watch, one, now) for now in (0.0, 4.9)] == [None, None]
    one.turns = 2
    assert [code(watch, one, now) for now in (5.0, 9.9, 10.0)] == [None, None, "25P03"]


def test_a_statement_that_runs_is_no_silence() -> None:
    one, watch = session(Limits(idle_in_transaction_timeout=5.0)), Overstay()
    assert code(watch, one, 0.0) is None
    one.in_transaction = False
    assert code(watch, one, 6.0) is None
    one.in_transaction = True
    assert [code(watch, one, now) for now in (7.0, 11.9, 12.0)] == [None, None, "25P03"]


def test_a_transaction_has_its_time_from_the_first_look_at_its_connection() -> None:
    one, watch = session(Limits(transaction_timeout=5.0)), Overstay()
    assert [code(watch, one, now) for now in (0.0, 5.0)] == [None, "25P04"]
    watch.rest()
    assert [code(watch, one, now) for now in (6.0, 10.9)] == [None, None]
    one.lease = object()
    assert [code(watch, one, now) for now in (11.0, 15.9, 16.0)] == [None, None, "25P04"]


def test_many_short_transactions_are_no_long_one() -> None:
    one, watch = session(Limits(transaction_timeout=5.0)), Overstay()
    for now in range(20):
        one.lease = None  # and the next may lie where it lay
        one.lease = object()
        assert code(watch, one, 4.0 * now) is None
    for now in range(20, 40):
        one.settings.ended += 1  # on a connection that the session keeps
        assert code(watch, one, 4.0 * now) is None


def test_without_limits_there_is_no_hurry() -> None:
    one, watch = session(Limits()), Overstay()
    assert [code(watch, one, now) for now in (0.0, 1e9)] == [None, None]


def test_a_statement_that_the_server_does_not_stop_in_its_time_is_late_once() -> None:
    head = Due(QUERY)
    one, watch = session(Limits(statement_timeout=5.0), due=[head]), Overstay()
    assert [watch.late(one, now) for now in (0.0, 5.9, 6.0, 6.5, 99.0)] == [False, False, True, False, False]
    head.index = 1  # the next of its text
    assert [watch.late(one, now) for now in (100.0, 105.9, 106.0)] == [False, False, True]
    one.turns = 2
    assert [watch.late(one, now) for now in (110.0, 115.0)] == [False, False]
    one.due.clear()
    assert not watch.late(one, 200.0)
    assert not watch.late(session(Limits(), due=[head]), 1e9)


def test_what_is_pipelined_behind_a_statement_gives_it_no_more_time() -> None:
    one, watch = session(Limits(statement_timeout=5.0), due=[Due(QUERY)]), Overstay()
    assert not watch.late(one, 0.0)
    one.turns += 1
    one.due.append(Due(QUERY))
    assert [watch.late(one, now) for now in (5.9, 6.0, 7.0)] == [False, True, False]


def test_statements_of_the_short_way_are_told_apart_by_their_count() -> None:
    one, watch = session(Limits(statement_timeout=5.0), due=[Due(QUERY)]), Overstay()
    one.under = ()
    for now in range(20):
        one.turns += 1
        assert not watch.late(one, float(now))


def test_the_error_of_a_late_statement_says_what_it_was_cancelled_for() -> None:
    one, watch = session(Limits(statement_timeout=5.0), due=[Due(QUERY)]), Overstay()
    fields = {"C": "57014", "M": "canceling statement due to user request"}
    assert watch.reworded(fields, one) == fields
    assert [watch.late(one, now) for now in (0.0, 6.0)] == [False, True]
    assert watch.reworded({"C": "22012", "M": "x"}, one) == {"C": "22012", "M": "x"}
    assert watch.reworded(fields, one)["M"] == "canceling statement due to statement timeout"
    assert watch.reworded(fields, one) == fields


def test_a_late_statement_that_ended_before_it_was_cancelled_rewords_no_others_error() -> None:
    one, watch = session(Limits(statement_timeout=5.0), due=[Due(QUERY)]), Overstay()
    assert [watch.late(one, now) for now in (0.0, 6.0)] == [False, True]
    one.due = [Due(QUERY)]
    fields = {"C": "57014", "M": "canceling statement due to user request"}
    assert watch.reworded(fields, one) == fields
