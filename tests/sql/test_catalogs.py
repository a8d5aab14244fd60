"""Catalogs: what a tenant reads of them speaks of what it sees, and of nothing else."""

from __future__ import annotations

import re

import pytest

from proxy.sql.catalogs import rules
from proxy.sql.plan import PlanContext
from proxy.sql.planner import Planner
from proxy.sql.settings import READABLE, SETTABLE
from proxy.sql.world import SYSTEM_SCHEMAS, World
from tests.sql.worlds import sample_policy


@pytest.fixture(scope="module")
def planner(world: World) -> Planner:
    return Planner(world.catalog, 0)


def planned(planner: Planner, world: World, sql: str) -> str:
    """The text that would be sent, or the SQLSTATE."""
    found = planner.plan(sql.encode(), PlanContext(sample_policy(), world.catalog.version, role="app"))
    return (
        found.rejection.sqlstate
        if found.rejection is not None
        else planner.explain_text(found, {"default": "1", "$application": ""})[0]
    )


@pytest.mark.parametrize(
    "name",
    [
        "pg_authid", "pg_shadow", "pg_statistic", "pg_largeobject", "pg_hba_file_rules", "pg_stats", "pg_stat_database",
        "pg_statio_user_tables", "pg_stat_user_tables", "pg_prepared_xacts", "pg_prepared_statements", "pg_cursors",
    ],
)  # fmt: skip
def test_what_tells_of_others_is_refused(planner: Planner, world: World, name: str) -> None:
    assert planned(planner, world, f"SELECT * FROM {name}") == "42501"
    assert planned(planner, world, f"SELECT * FROM pg_catalog.{name}") == "42501"
    assert planned(planner, world, f"SELECT (SELECT count(*) FROM {name})") == "42501"


def test_a_catalog_that_shows_nothing_is_not_read(planner: Planner, world: World) -> None:
    text = planned(planner, world, "SELECT subname FROM pg_subscription")
    assert "pg_catalog.pg_subscription" not in text
    assert "WHERE false OFFSET 0" in text


@pytest.mark.parametrize(
    ("sql", "given"),
    [
        ("SELECT tableoid, oid FROM pg_class", True),
        ("SELECT c.tableoid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace", True),
        ("SELECT *, tableoid FROM pg_class", False),
        ("SELECT tableoid FROM pg_class NATURAL JOIN pg_attribute", False),
        ("SELECT tableoid FROM pg_tables", False),
        ("SELECT oid FROM pg_class", False),
    ],
)
def test_tableoid_is_given_where_no_star_would_notice_it(planner: Planner, world: World, sql: str, given: bool) -> None:
    assert (", tableoid FROM pg_catalog." in planned(planner, world, sql)) is given


def test_every_catalog_of_the_server_is_shown_or_refused(world: World) -> None:
    known = {*rules()["relations"], *rules()["denied"]}
    system = {
        f"{schema}.{name}"
        for (schema, name), one in world.catalog.relations.items()
        if schema in SYSTEM_SCHEMAS and one.kind in "rv"
    }
    assert len(system) > 180
    assert system <= known


def test_the_settings_shown_are_those_of_the_allow_list() -> None:
    where = rules()["relations"]["pg_catalog.pg_settings"]["where"]
    assert set(re.findall(r"'([a-z_]+)'", where)) == SETTABLE | READABLE


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT current_setting(name) FROM pg_settings", ""),
        ("SELECT s.name, current_setting(s.name) FROM pg_settings s, pg_class c", ""),
        ("SELECT current_setting(relname) FROM pg_class", "42501"),
        ("SELECT current_setting(name) FROM pg_settings, (SELECT 'data_directory' AS name) x", "42501"),
        ("SELECT current_setting(s.name) FROM (SELECT 'data_directory' AS name) s", "42501"),
        ("SELECT current_setting(s.setting) FROM pg_settings s", "42501"),
        ("SELECT current_setting(note) FROM orders", "42501"),
    ],
)
def test_current_setting_of_a_column_reads_the_list_only(planner: Planner, world: World, sql: str, answer: str) -> None:
    text = planned(planner, world, sql)
    assert text == answer if answer else "current_setting(" in text


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


def test_a_keys_columns_are_found_as_jdbc_does(planner: Planner, world: World) -> None:
    """pgjdbc's getPrimaryKeys() expands pg_index.indkey; other functions of information_schema read catalogs."""
    found = "SELECT (information_schema._pg_expandarray(i.indkey)).n FROM pg_catalog.pg_index i"
    assert "information_schema._pg_expandarray(" in planned(planner, world, found)
    assert planned(planner, world, "SELECT information_schema._pg_index_position(1, 1::int2)") == "42883"
