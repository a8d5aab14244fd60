"""Guards: what is not silent runs on own rows only, or not at all."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.world import World
from tests.sql.worlds import text_of

OWN = "o.tenant_id = KEY"
GUARD = f"{OWN} IS NOT FALSE"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("o.id = 1", "o.id = 1"),
        ("1 / o.id = 1", f"CASE WHEN {GUARD} THEN 1 / o.id = 1 END"),
        ("o.id = 1 AND 1 / o.id = 1", f"o.id = 1 AND CASE WHEN {GUARD} THEN 1 / o.id = 1 END"),
        ("pg_sleep(1) IS NULL", f"CASE WHEN {GUARD} THEN pg_sleep(1) IS NULL END"),
        ("1 / o.id = 1 OR true", f"CASE WHEN {GUARD} THEN 1 / o.id = 1 OR true END"),
    ],
)
def test_a_conjunct_that_is_not_silent_is_guarded(world: World, where: str, expected: str) -> None:
    text = text_of(world, f"SELECT 1 FROM orders o WHERE {where}")
    assert text == f"SELECT 1 FROM public.orders o WHERE {OWN} AND {expected}"


def test_a_guard_names_the_relations_that_the_conjunct_names(world: World) -> None:
    text = text_of(world, "SELECT 1 FROM orders o, customers c, products p WHERE 1 / o.id = p.id")
    assert f"CASE WHEN {GUARD} THEN 1 / o.id = p.id END" in text


def test_a_conjunct_over_a_derived_column_is_guarded_by_everything_it_can_see(world: World) -> None:
    text = text_of(world, "SELECT 1 FROM orders o, (SELECT 1 / id AS n FROM customers) s WHERE s.n = 1")
    assert f"CASE WHEN {GUARD} THEN s.n = 1 END" in text


def test_a_correlated_conjunct_is_guarded_by_the_enclosing_levels_too(world: World) -> None:
    text = text_of(world, "SELECT 1 FROM orders o WHERE EXISTS (SELECT FROM products p WHERE 1 / o.id = p.id)")
    assert f"WHERE CASE WHEN {GUARD} THEN 1 / o.id = p.id END)" in text
    assert f"CASE WHEN {GUARD} THEN EXISTS (" in text


def test_a_conjunct_of_on_is_guarded_by_what_on_can_see(world: World) -> None:
    text = text_of(world, "SELECT 1 FROM customers c LEFT JOIN orders o ON random() < 1")
    assert f"ON {OWN} AND CASE WHEN c.tenant_id = KEY IS NOT FALSE AND {GUARD} THEN random() < 1 END" in text


def test_a_full_join_has_its_operands_guarded_and_stays_joinable(world: World) -> None:
    text = text_of(world, "SELECT 1 FROM customers c FULL JOIN orders o ON o.id = c.id / 1")
    assert "ON o.id = CASE WHEN c.tenant_id = KEY IS NOT FALSE THEN c.id / 1 END" in text


def test_under_an_uncertain_comparison_both_operands_of_a_full_join_are_guarded(world: World) -> None:
    text = text_of(world, "SELECT 1 FROM odd a FULL JOIN odd b ON a.num = b.dbl")
    assert "CASE WHEN a.tenant_id = KEY IS NOT FALSE THEN a.num END = CASE WHEN b.tenant_id" in text


def test_a_relation_that_is_shadowed_where_its_guard_must_stand_is_refused(world: World) -> None:
    with pytest.raises(FeatureNotSupported):
        text_of(
            world, "SELECT 1 FROM orders a, customers b WHERE b.id IN (SELECT 1 FROM products a WHERE random() < 1)"
        )


def test_a_conjunct_on_shared_columns_alone_needs_no_guard(world: World) -> None:
    assert "1 / p.id = 1" in text_of(world, "SELECT 1 FROM orders o, products p WHERE 1 / p.id = 1")
    assert "CASE" not in text_of(world, "SELECT 1 FROM orders o, products p WHERE 1 / p.id = 1")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM orders o GROUP BY qty HAVING count(*) > (SELECT max(c.id) FROM customers c WHERE 1 / c.id < 9)",
        "SELECT count(*), (SELECT max(c.id) FROM customers c WHERE 1 / c.id < 9) FROM orders o",
        "SELECT o.id FROM orders o ORDER BY 1 LIMIT (SELECT max(c.id) FROM customers c WHERE 1 / c.id < 9)",
    ],
)
def test_a_sub_select_above_the_filtered_scans_does_not_guard_their_relations(world: World, sql: str) -> None:
    """There groups and no rows may be named, and none but own rows come so far."""
    text = text_of(world, sql)
    assert "CASE WHEN c.tenant_id = KEY IS NOT FALSE THEN" in text
    assert "o.tenant_id = KEY IS NOT FALSE" not in text


def test_a_sub_select_of_a_condition_guards_the_relations_around_it(world: World) -> None:
    text = text_of(
        world, "SELECT 1 FROM orders o WHERE EXISTS (SELECT 1 FROM customers c WHERE 1 / c.id < 9 AND 1 / o.id < 9)"
    )
    assert "o.tenant_id = KEY IS NOT FALSE" in text
