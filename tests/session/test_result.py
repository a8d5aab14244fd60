"""Result: what counts towards the limits, and when a result may be cut off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.backend.state import IDLE, IN_TRANSACTION
from proxy.session.result import NOTHING_YET, READS, STAYS, UNDONE, Result, left_by
from proxy.sql.plan import CursorEffect, Effects, Forward, Plan, Planned, StatementKind
from proxy.tenancy.policy import Limits
from tests.kit.builders import forward, plan_text


def plan(text: str) -> Plan:
    planned: Planned = plan_text(text.encode())
    return planned.plans[0]


def read(text: str = "SELECT 1") -> Forward:
    return replace(forward(text.encode()), reads=True)


@pytest.mark.parametrize(
    ("one", "leaves"),
    [
        (plan("SELECT 1"), READS), (plan(""), READS), (plan("UPDATE"), UNDONE), (plan("BEGIN"), STAYS),
        (plan("SAVEPOINT a"), STAYS), (plan("SET a TO 1"), STAYS), (plan("RESET ALL"), STAYS),
        (plan("NOTIFY c"), STAYS),
        (plan("LISTEN c"), STAYS), (replace(forward(b"", Effects(pins="advisory_lock")), reads=False), STAYS),
        (forward(b"", Effects(writes=True, draws=True), StatementKind.INSERT), UNDONE),
        (forward(b"", Effects(declares=CursorEffect("c", False)), StatementKind.CURSOR), UNDONE),
        (forward(b"", Effects(declares=CursorEffect("c", True)), StatementKind.CURSOR), STAYS),
        (forward(b"", Effects(closes="c"), StatementKind.CURSOR), STAYS),
        (forward(b"", Effects(writes=True), StatementKind.COPY), STAYS), (forward(b"", kind=StatementKind.DDL), STAYS),
    ],
)  # fmt: skip
def test_a_statement_leaves_nothing_or_what_is_undone_or_more(one: Plan, leaves: int) -> None:
    assert left_by(one) == leaves


def bounded(limits: Limits | None = None) -> Result:
    result = Result()
    result.limit(limits or Limits(result_rows=3))
    return result


def test_outside_a_block_all_of_the_pipeline_must_read() -> None:
    result = bounded()
    result.sent(read())
    assert result.may_be_cut(read(), IDLE)
    assert not result.may_be_cut(forward(b"UPDATE"), IDLE)
    assert not result.may_be_cut(None, IDLE)
    result.sent(forward(b"UPDATE"))
    assert not result.may_be_cut(read(), IDLE)
    assert result.may_be_cut(read(), IN_TRANSACTION)
    result.sent(plan("COMMIT"))
    assert not result.may_be_cut(read(), IN_TRANSACTION)
    result.answered()
    assert result.traces == NOTHING_YET


def test_a_pipeline_that_begins_with_begin_is_a_block() -> None:
    result = bounded()
    result.sent(plan("BEGIN"))
    result.sent(forward(b"UPDATE"))
    result.sent(read())
    assert result.may_be_cut(read(), IDLE)
    result.answered()
    result.sent(read())
    result.sent(plan("BEGIN"))  # a transaction would be open of which the client knows nothing
    assert not result.may_be_cut(read(), IDLE)


def test_both_limits_hold_and_the_one_that_is_passed_is_named() -> None:
    result = bounded(Limits(result_rows=3, result_bytes=100))
    result.rows, result.bytes = 2, 99
    assert result.fits(1, 1)
    assert not result.fits(2, 1)
    assert not result.fits(1, 2)
    assert result.exceeded()[0] == "result_bytes"
    result.rows = 3
    assert result.exceeded()[0] == "result_rows"
    result.ended()
    assert (result.rows, result.bytes) == (0, 0)


def test_without_limits_nothing_is_looked_at() -> None:
    result = bounded(Limits())
    assert not result.bounded
    result.sent(forward(b"UPDATE"))
    assert result.traces == NOTHING_YET
    assert result.fits(1 << 40, 1 << 40)


def test_only_the_limits_of_a_result_are_told_here() -> None:
    result = bounded(Limits(result_rows=3, warn=frozenset({"result_rows", "rows_per_minute"})))
    assert result.warned == {"result_rows"}
