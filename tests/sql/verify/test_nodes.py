"""The nodes and fields that can be proved are those of the slice: no other passes by being unknown."""

from __future__ import annotations

import pytest

from proxy.sql.verify.nodes import CHANGE_FIELDS, EXPRESSIONS, INSERT_FIELDS, SELECT_FIELDS
from tests.sql.verify.conftest import Doubt


def test_no_statement_and_no_relation_is_an_expression() -> None:
    assert not [one for one in EXPRESSIONS if one.endswith("Stmt") or one in {"RangeVar", "JoinExpr", "CurrentOfExpr"}]


def test_what_makes_a_table_or_moves_a_cursor_is_in_no_list() -> None:
    assert not {"intoClause", "onConflictClause"} & SELECT_FIELDS
    assert not {"onConflictClause", "selectStmt"} & CHANGE_FIELDS
    assert not {"whereClause", "fromClause"} & INSERT_FIELDS


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 INTO t",
        "MERGE INTO public.orders o USING public.orders p ON true WHEN MATCHED THEN DELETE",
        "EXPLAIN EXECUTE p",
        "CREATE TABLE t AS SELECT 1",
    ],
)
def test_an_unknown_node_or_field_is_not_proved(doubt: Doubt, text: str) -> None:
    assert doubt(text) != ""
