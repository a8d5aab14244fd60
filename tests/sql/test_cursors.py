"""Cursors: the query is confined, the name is the client's, and nothing of it is a session command."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.cursors import declare, fetch
from proxy.sql.plan import CursorEffect, Forward, Plan, PlanContext, Reject
from proxy.sql.planner import Planner
from proxy.sql.world import World
from proxy.tenancy.rulebook import classified
from tests.sql.worlds import keys_of, sample_policy


@pytest.fixture
def planner(world: World) -> Planner:
    return Planner(world.catalog, 1 << 20)


def planned(planner: Planner, text: str) -> tuple[Plan, str]:
    """The plan and the text that would be sent."""
    context = PlanContext(classified(sample_policy()), planner.catalog.version, role="app")
    found = planner.plan(text.encode(), context)
    return found.plans[0], "".join(planner.explain_text(found, keys_of(1)))


def test_a_cursors_query_is_confined_and_printed_with_its_options(planner: Planner) -> None:
    plan, text = planned(planner, 'DECLARE "C" BINARY SCROLL CURSOR WITH HOLD FOR SELECT id FROM orders')
    assert isinstance(plan, Forward)
    assert plan.effects.declares == CursorEffect("C", True)
    assert text == (
        'DECLARE "C" BINARY SCROLL CURSOR WITH HOLD FOR SELECT id FROM public.orders'
        " WHERE orders.tenant_id OPERATOR(pg_catalog.=) '1'::int"
    )


@pytest.mark.parametrize(
    ("query", "fenced"),
    [
        ("SELECT id FROM orders", False),
        ("SELECT id FROM orders WHERE pg_size_bytes(note) IS NULL", False),
        ("SELECT id FROM (SELECT id, pg_size_bytes(note) AS n FROM orders) o", True),
        ("SELECT o.id FROM orders o, (SELECT id FROM customers WHERE name ~ 'x') c", True),
    ],
)
def test_a_cursor_says_whether_a_boundary_stands_in_its_query(planner: Planner, query: str, fenced: bool) -> None:
    plan, text = planned(planner, f"DECLARE c CURSOR FOR {query}")
    assert isinstance(plan, Forward)
    assert plan.fenced == fenced == ("OFFSET 0" in text)


@pytest.mark.parametrize(
    ("text", "closes"), [("CLOSE c", "c"), ("CLOSE ALL", ""), ("FETCH 3 FROM c", None), ("MOVE ALL IN c", None)]
)
def test_what_moves_or_closes_a_cursor_goes_as_it_is(planner: Planner, text: str, closes: str | None) -> None:
    plan, sent = planned(planner, text)
    assert isinstance(plan, Forward)
    assert plan.effects.closes == closes
    assert sent.split()[0] == text.split(maxsplit=1)[0]


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        ("DECLARE c CURSOR FOR SELECT set_config('work_mem', '1GB', false)", "42501"),
        ("DECLARE c CURSOR FOR SELECT pg_read_file('x')", "42501"),
        ("DECLARE c CURSOR FOR SELECT * FROM pg_authid", "42501"),
        ("DECLARE c CURSOR FOR SELECT 1 FROM products FOR UPDATE", "42501"),
    ],
)
def test_what_a_query_may_not_do_a_cursor_may_not_do(planner: Planner, text: str, sqlstate: str) -> None:
    plan, _ = planned(planner, text)
    assert isinstance(plan, Reject)
    assert plan.sqlstate == sqlstate


def test_an_option_or_direction_that_is_not_known_is_refused() -> None:
    with pytest.raises(FeatureNotSupported):
        declare({}, {"portalname": "c", "options": 0x40})
    for body in ({"portalname": "c", "newer": True}, {"portalname": "c", "direction": "FETCH_SIDEWAYS"}):
        with pytest.raises(FeatureNotSupported):
            fetch({}, body)
