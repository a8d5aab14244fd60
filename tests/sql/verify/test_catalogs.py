"""A catalog stands in its confined form to the letter, or nothing is proved."""

from __future__ import annotations

import pytest

from proxy.sql.plan import Forward, PlanContext
from proxy.sql.planner import Planner
from proxy.sql.render import fill
from proxy.sql.verify.catalogs import Expected, bare
from proxy.sql.world import World
from tests.sql.verify.conftest import Doubt
from tests.sql.worlds import keys_of


@pytest.fixture(scope="module")
def confined_class(world: World, context: PlanContext) -> str:
    """What the rewriter makes of a look into pg_class."""
    planned = Planner(world.catalog, 0).plan(b"SELECT c.relname FROM pg_class c", context)
    (plan,) = planned.plans
    assert isinstance(plan, Forward)
    return fill(plan.template, keys_of(1), planned.literals).decode()


def test_the_confined_form_of_a_catalog_is_proved(doubt: Doubt, confined_class: str) -> None:
    assert doubt(confined_class) == ""


def test_one_relation_more_in_the_list_is_not_proved(doubt: Doubt, confined_class: str, world: World) -> None:
    hidden = world.catalog.relations["public", "leaky_stats"].oid
    wider = confined_class.replace("'{", "'{" + f"{hidden},", 1)
    assert wider != confined_class
    assert doubt(wider) == "a catalog that is not confined: pg_class"


def test_a_fence_less_is_not_proved(doubt: Doubt, confined_class: str) -> None:
    assert doubt(confined_class.replace(" OFFSET 0", "", 1)) != ""


def test_a_catalog_that_no_tenant_may_read_has_no_form(world: World, context: PlanContext) -> None:
    expected = Expected(context, world.catalog, {})
    assert expected.select("pg_catalog", "pg_authid") is None
    assert expected.select("pg_catalog", "pg_statistic") is None
    assert expected.select("pg_catalog", "pg_class") is not None


def test_places_in_the_text_are_not_compared() -> None:
    places = {"location": 5, "rexpr_list_start": 2, "rexpr_list_end": 3, "list_start": 4, "list_end": 9}
    assert bare({"name_location": 3, "a": [{"b": 1, **places}]}) == {"a": [{"b": 1}]}
