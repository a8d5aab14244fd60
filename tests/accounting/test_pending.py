"""Pending: what is counted goes out once, in numbered batches that do not change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.accounting.pending import Pending
from proxy.quota.usage import Usage


def used(statements: int) -> list[tuple[str, str, Usage]]:
    return [("acme", "app", Usage(statements=statements))]


def test_a_batch_stays_as_it_is_until_it_is_written() -> None:
    pending = Pending()
    pending.take(used(3), 7, 1.0)
    first = pending.batch()
    pending.take(used(5), 7, 2.0)
    assert pending.batch() is first
    assert first is not None
    assert (first.number, first.taken, dict(first.rows)) == (1, 1.0, {(7, "acme", "app"): Usage(statements=3)})
    pending.written()
    second = pending.batch()
    assert second is not None
    assert (second.number, second.taken, dict(second.rows)) == (2, 2.0, {(7, "acme", "app"): Usage(statements=2)})


def test_without_anything_new_there_is_no_batch() -> None:
    pending = Pending()
    assert pending.batch() is None
    pending.take(used(3), 7, 1.0)
    pending.batch()
    pending.written()
    pending.take(used(3), 8, 2.0)
    assert pending.batch() is None


def test_each_hour_has_what_was_new_in_it() -> None:
    pending = Pending()
    for hour, statements in ((7, 3), (8, 10), (7, 11)):  # the clock went back
        pending.take(used(statements), hour, 1.0)
    batch = pending.batch()
    assert batch is not None
    assert {hour: usage.statements for (hour, _, _), usage in batch.rows.items()} == {7: 4, 8: 7}


def test_what_is_not_known_to_be_written_is_the_rest() -> None:
    pending = Pending()
    pending.take(used(3), 7, 1.0)
    pending.batch()
    pending.take(used(5), 7, 2.0)
    assert pending.rest() == {(7, "acme", "app"): Usage(statements=5)}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4), st.integers(1, 9)), max_size=60))
def test_however_long_nothing_is_written_what_waits_stays_small_and_loses_nothing(
    steps: list[tuple[int, int, int]],
) -> None:
    pending = Pending(limit=8)
    totals: dict[str, int] = {}
    for hour, tenant, more in steps:
        totals[f"t{tenant}"] = totals.get(f"t{tenant}", 0) + more
        pending.take([(one, "app", Usage(statements=total)) for one, total in totals.items()], hour, float(hour))
        assert len(pending.rest()) <= 8
    counted: dict[str, int] = {}
    for (_, tenant_name, _), usage in pending.rest().items():
        counted[tenant_name] = counted.get(tenant_name, 0) + usage.statements
    assert counted == totals


def test_a_login_that_is_forgotten_begins_at_nothing() -> None:
    pending = Pending()
    pending.take(used(7), 7, 1.0)
    pending.batch()
    pending.written()
    pending.forget("acme", "app")
    pending.forget("acme", "nobody")
    pending.take(used(3), 7, 2.0)
    batch = pending.batch()
    assert batch is not None
    assert dict(batch.rows) == {(7, "acme", "app"): Usage(statements=3)}
