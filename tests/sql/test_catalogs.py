"""Catalogs: what a tenant reads of them speaks of what it sees, and of nothing else."""

from __future__ import annotations

import pytest

from proxy.sql.plan import PlanContext
from proxy.sql.planner import Planner
from proxy.sql.world import World
from tests.sql.worlds import sample_policy


@pytest.fixture(scope="module")
def planner(world: World) -> Planner:
    return Planner(world.catalog, 0)


def planned(planner: Planner, world: World, sql: str) -> str:
    """The text that would be sent, or the SQLSTATE."""
    found = planner.plan(sql.encode(), PlanContext(sample_policy(), world.catalog.version, role="app"))
    return found.rejection.sqlstate if found.rejection is not None else planner.explain_text(found, {"default": "1"})[0]


@pytest.mark.parametrize(
    "name",
    ["pg_authid", "pg_shadow", "pg_statistic", "pg_stat_activity", "pg_locks", "pg_largeobject", "pg_hba_file_rules"],
)
def test_what_tells_of_others_does_not_exist(planner: Planner, world: World, name: str) -> None:
    assert planned(planner, world, f"SELECT * FROM {name}") == "42P01"
    assert planned(planner, world, f"SELECT * FROM pg_catalog.{name}") == "42P01"


def test_relations_are_those_that_policy_shows(planner: Planner, world: World) -> None:
    text = planned(planner, world, "SELECT relname FROM pg_class")
    relations = world.catalog.relations
    assert f"{relations['public', 'orders'].oid}" in text
    assert f"{relations['public', 'leaky_stats'].oid}," not in text
    assert "OFFSET 0" in text


@pytest.mark.parametrize("column", ["reltuples", "relpages", "relfilenode", "relpartbound", "relfrozenxid"])
def test_statistics_and_partition_bounds_are_masked(planner: Planner, world: World, column: str) -> None:
    text = planned(planner, world, f"SELECT {column} FROM pg_class")
    assert f" AS {column}" in text


def test_a_users_relation_named_like_a_catalog_is_not_the_catalog(planner: Planner, world: World) -> None:
    assert planned(planner, world, "SELECT * FROM public.pg_class") == "42P01"
    assert "OFFSET 0" not in planned(planner, world, "WITH pg_class AS (SELECT 1 AS a) SELECT a FROM pg_class")
