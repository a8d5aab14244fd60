"""Ranges: columns of functions in FROM where they are certain, and views as silent as their definitions."""

from __future__ import annotations

import pytest

from proxy.sql.world import World
from tests.sql.worlds import analysed


@pytest.mark.parametrize(
    ("source", "columns"),
    [
        ("generate_series(1, 2) g", [("g", 23)]),
        ("generate_series(1, 2) WITH ORDINALITY AS g(n, o)", [("n", 23), ("o", 20)]),
        ("unnest(ARRAY[1, 2], ARRAY['a']) AS t(a, b)", [("a", 23), ("b", 25)]),
        ("json_to_recordset('[]') AS r(a int, b text)", [("a", 23), ("b", 25)]),
        ("ROWS FROM (generate_series(1, 2), unnest(ARRAY['a'])) AS r(n, l)", [("n", 23), ("l", 25)]),
    ],
)
def test_a_functions_columns_are_named_and_typed(world: World, source: str, columns: list[tuple[str, int]]) -> None:
    env = analysed(world, f"SELECT 1 FROM {source}").levels[-1].env
    assert env is not None
    assert [(one.name, one.value.type) for one in env.items[0].columns] == columns
    assert not any(one.value.silent for one in env.items[0].columns)


def test_a_function_with_out_parameters_is_open(world: World) -> None:
    env = analysed(world, "SELECT 1 FROM jsonb_each('{}') e").levels[-1].env
    assert env is not None
    assert env.items[0].open


@pytest.mark.parametrize(
    ("view", "hard", "silent"),
    [
        ("open_orders", False, {"tenant_id", "id", "customer_id", "amount", "status"}),
        ("order_totals", True, {"tenant_id", "customer_id"}),
        ("odd_loud", True, {"tenant_id", "id", "k", "body"}),
        ("mv_order_stats", False, {"tenant_id", "status", "n", "total"}),
    ],
)
def test_a_views_columns_are_as_silent_as_their_expressions(
    world: World, view: str, hard: bool, silent: set[str]
) -> None:
    level = analysed(world, f"SELECT 1 FROM {view}").levels[-1]
    assert level.env is not None
    assert level.sources[0].hard is hard
    assert {one.name for one in level.env.items[0].columns if one.value.silent} == silent
