"""A long list is planned with three of its items: the plan is the one that the whole text would have got."""

from __future__ import annotations

from array import array
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.sql.lift import LONGEST, lift
from proxy.sql.plan import Forward, PlanContext, Planned
from proxy.sql.planner import Planner
from proxy.sql.positions import FIELDS, client_position
from proxy.sql.render import fill
from proxy.sql.unroll import baked, collapse
from proxy.sql.world import World
from tests.sql.worlds import keys_of, sample_policy


@pytest.fixture(scope="module")
def context(world: World) -> PlanContext:
    return PlanContext(sample_policy(), world.catalog.version)


def whole(world: World, text: bytes, context: PlanContext) -> Planned:
    """The plan without any of this."""
    return Planner(world.catalog, 0)._compute(text, context, (), False)


def sent(planned: Planned) -> list[bytes]:
    return [fill(one.template, keys_of(1), planned.literals) for one in planned.plans if isinstance(one, Forward)]


def asked(planned: Planned) -> list[str]:
    return sorted(repr(check) for one in planned.plans if isinstance(one, Forward) for check in one.checks)


def places(planned: Planned) -> list[list[tuple[int, ...]]]:
    found = []
    for one in planned.plans:
        assert isinstance(one, Forward)
        entries = array("I")
        entries.frombytes(one.positions)
        found.append(sorted(tuple(entries[at : at + FIELDS]) for at in range(0, len(entries), FIELDS)))
    return found


def check(world: World, context: PlanContext, text: bytes) -> None:
    expected = whole(world, text, context)
    planner = Planner(world.catalog, 1 << 20)
    for seen in (planner.plan(text, context), planner.lookup(text, context), planner.compute(text, context)):
        assert seen is not None
        assert (sent(seen), seen.literals) == (sent(expected), expected.literals)
        assert asked(seen) == asked(expected)
        assert places(seen) == places(expected)


VALUE = st.one_of(
    st.integers(0, 10**6).map(str),
    st.integers(0, 999).map(lambda number: f"{number}.5"),
    st.text("abé'", max_size=5).map(lambda text: "'" + text.replace("'", "''") + "'"),
)
KINDS = {
    "INSERT INTO notes (id, slug, body) VALUES {}": "({i}, {s}, {s})",
    "INSERT INTO notes (body, id) VALUES {} RETURNING id + 7, 'x'": "(upper({s}), {i})",
    "INSERT INTO customers (tenant_id, id, name) VALUES {}": "(1, {i}, {s})",
    "INSERT INTO customers (id, tenant_id, name) VALUES {} ON CONFLICT DO NOTHING": "({i}, 1, {s})",
    "SELECT id FROM orders WHERE id IN ({}) AND amount > 3.5": "{i}",
    "SELECT id FROM orders WHERE note NOT IN ({}) OR id = ANY (ARRAY[1, 2])": "{s}",
    "SELECT id FROM orders WHERE id = ANY (ARRAY[{}]) ORDER BY id LIMIT 7": "{i}",
    "SELECT v.a, o.id FROM (VALUES {}) v(a, b) JOIN orders o ON o.id = v.a WHERE o.note = 'x'": "({i}, {s})",
}  # fmt: skip


@pytest.mark.parametrize("text", KINDS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.text("abé'", max_size=5)), min_size=4, max_size=9))
def test_the_plan_is_that_of_the_whole_text(
    world: World, context: PlanContext, text: str, values: list[tuple[int, str]]
) -> None:
    items = [KINDS[text].format(i=number, s="'" + string.replace("'", "''") + "'") for number, string in values]
    check(world, context, text.format(", ".join(items)).encode())


def test_booleans_are_literals_of_an_item_like_others(world: World, context: PlanContext) -> None:
    for words in (["true"] * 4, ["true", "false", "FALSE", "true", "TRUE"], ["false", "true"] * 9):
        rows = ", ".join(f"({number}, {word}, 'x')" for number, word in enumerate(words))
        check(world, context, f"INSERT INTO users (id, is_active, name) VALUES {rows}".encode())
        check(world, context, f"SELECT id FROM users WHERE is_active IN ({', '.join(words)}) OR true".encode())


def test_a_list_of_another_length_needs_no_planning(world: World, context: PlanContext) -> None:
    planner = Planner(world.catalog, 1 << 20)
    texts = [f"SELECT id FROM orders WHERE id IN ({', '.join(map(str, range(n)))})".encode() for n in range(3, 40)]
    planner.plan(texts[0], context)
    for text in texts[1:]:
        found = planner.lookup(text, context)
        assert found is not None
        assert sent(found) == sent(whole(world, text, context))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT greatest(1, 2, 3, 4, 5)",  # another number of arguments is another function
        "SELECT 1, 2, 3, 4, 5 FROM orders",
        "SELECT public.in(1, 2, 3, 4)",
        'SELECT "in"(1, 2, 3, 4)',
        "SELECT x.values (1), (2), (3), (4)",
        "INSERT INTO notes (id) VALUES (1), (2), (3)",  # three are three
        "INSERT INTO notes (id) VALUES (1), (2), (3),  (4)",
        "INSERT INTO notes (id) VALUES (1), (2), (3), ('4')",
        "INSERT INTO notes (id) VALUES (now()), (now()), (now()), (now())",
        "SELECT 1 FROM orders WHERE id IN (1, 2, 3, 4.5)",
    ],
)
def test_what_is_no_list_of_like_items_is_left_whole(text: str) -> None:
    lifted = lift(text.encode())
    assert lifted is not None
    assert collapse(text.encode(), lifted) is None


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM orders WHERE coalesce(id IN (1, 2, 3, 4), false)",  # in no hole everywhere
        "INSERT INTO notes (id, body) VALUES (1, pg_size_bytes('1')::text), (2, pg_size_bytes('2')::text),"
        " (3, pg_size_bytes('3')::text), (4, pg_size_bytes('4')::text)",
        "SELECT id FROM orders WHERE note LIKE 'a%' AND id IN (1, 2, 3, 4); SELECT 5 FROM orders WHERE id = 6",
        "SELECT 5 FROM orders WHERE id = 6; SELECT id FROM orders WHERE id IN (1, 2, 3, 4, 5, 6); SELECT 7 LIMIT 8",
    ],
)
def test_literals_that_stand_in_the_plan_stay_right(world: World, context: PlanContext, text: str) -> None:
    expected = whole(world, text.encode(), context)
    seen = Planner(world.catalog, 1 << 20).plan(text.encode(), context)
    assert (sent(seen), seen.literals) == (sent(expected), expected.literals)


def test_a_value_of_the_tenant_column_is_asked_about_in_every_row(world: World, context: PlanContext) -> None:
    rows = ", ".join(f"({tenant}, {number}, 'x')" for number, tenant in enumerate([1, 1, 1, 1, 2, 1]))
    planned = Planner(world.catalog, 0).plan(
        f"INSERT INTO customers (tenant_id, id, name) VALUES {rows}".encode(), context
    )
    assert len(asked(planned)) == 6


def test_a_long_text_carries_its_literals(world: World, context: PlanContext) -> None:
    rows = ", ".join(f"(1, {number}, '{'é' * (number % 7)}')" for number in range(700))
    text = f"INSERT INTO customers (tenant_id, id, name) VALUES {rows} RETURNING id".encode()
    assert len(text) > LONGEST
    seen = Planner(world.catalog, 0).compute(text, context)
    expected = baked(Planner(world.catalog, 0).plan(text, context))
    lifted = lift(text, limited=False)
    assert lifted is not None
    cut = collapse(text, lifted)
    assert cut is not None
    assert seen.literals == ()
    plain = whole(world, text, context)
    assert sent(seen) == sent(expected) == sent(plain)
    assert len(asked(seen)) == 700
    (plan,), (other,) = seen.plans, plain.plans
    assert isinstance(plan, Forward)
    assert isinstance(other, Forward)
    told = [client_position(str(at), plan, keys_of(1), None, text) for at in range(1, 20_000, 13)]
    assert told == [client_position(str(at), other, keys_of(1), None, text) for at in range(1, 20_000, 13)]
    assert any(told)


def test_items_are_cut_to_the_byte(world: World) -> None:
    text = "SELECT 'ü' FROM orders WHERE note IN ('é', 'ß''ß', '', 'x', 'yy')  AND id = 5".encode()
    lifted = lift(text)
    assert lifted is not None
    cut = collapse(text, lifted)
    assert cut is not None
    assert cut.text == "SELECT 'ü' FROM orders WHERE note IN ('é', 'ß''ß', '')  AND id = 5".encode()
    assert (cut.first, cut.width, cut.extra) == (1, 1, 2)
    assert all(one <= other for one, other in pairwise(lifted.offsets))
