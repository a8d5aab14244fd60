"""Ordering: what an index can order by is guarded in every clause."""

from __future__ import annotations

import pytest

from proxy.sql.world import World
from tests.sql.worlds import text_of

GUARDED = "CASE WHEN odd.tenant_id = KEY IS NOT FALSE THEN loc <-> '(0,0)' END"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT loc <-> '(0,0)' FROM odd ORDER BY 1", f'SELECT {GUARDED} AS "?column?" FROM'),
        ("SELECT loc <-> '(0,0)' AS d FROM odd ORDER BY d", f"SELECT {GUARDED} AS d FROM"),
        ("SELECT id FROM odd ORDER BY loc <-> '(0,0)'", f"ORDER BY {GUARDED}"),
        ("SELECT min(loc <-> '(0,0)') FROM odd", f"min({GUARDED})"),
        ("SELECT rank() OVER (ORDER BY loc <-> '(0,0)') FROM odd", f"OVER (ORDER BY {GUARDED})"),
        ("SELECT DISTINCT ON (loc <-> '(0,0)') id FROM odd ORDER BY loc <-> '(0,0)'", f"DISTINCT ON ({GUARDED}) id"),
        ("SELECT count(*) FROM odd GROUP BY loc <-> '(0,0)'", f"GROUP BY {GUARDED}"),
    ],
)
def test_an_ordering_operator_is_guarded(world: World, sql: str, expected: str) -> None:
    assert expected in text_of(world, sql)


def test_shared_rows_may_be_ordered_freely(world: World) -> None:
    assert "CASE" not in text_of(world, "SELECT point(id, 0) <-> '(0,0)' FROM products ORDER BY 1")
