"""What is left of a statement is what makes it differ."""

from __future__ import annotations

from tests.equivalence.reduce import reduce


def test_a_statement_is_reduced_to_what_holds() -> None:
    text = (
        "WITH a AS (SELECT 1) SELECT x.id, y.name, count(*) FROM orders x JOIN customers y ON x.customer_id = y.id AND"
        " x.qty > 3 WHERE x.id > 3 AND (y.name = 'q' OR pg_size_bytes(x.note) > 0) GROUP BY 1, 2 ORDER BY 1 LIMIT 3"
    )
    found = reduce(text, lambda one: "pg_size_bytes" in one)
    assert "pg_size_bytes(" in found
    assert len(found) < 70


def test_what_cannot_be_taken_apart_is_left() -> None:
    assert reduce("SELECT FROM WHERE", lambda _: True) == "SELECT FROM WHERE"
    assert reduce("SELECT 1, 2", lambda _: False) == "SELECT 1, 2"
