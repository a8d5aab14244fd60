"""PREPARE and EXECUTE are planned under the proxy's name, with types and arguments that a tenant may use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.plan import STATEMENT_NAME, Forward, Plan, PlanContext, Reject, Template
from proxy.sql.planner import Planner
from proxy.sql.prepared import require_one_name, values
from proxy.sql.render import fill
from proxy.sql.world import World
from proxy.tenancy.policy import FunctionRule
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


def test_what_a_name_stands_for_is_planned_as_parse_would_with_the_types_declared(planner: Planner) -> None:
    plan, text = planned(planner, 'PREPARE "My p" (int, varchar(3), text[]) AS SELECT id FROM orders WHERE id = $1')
    assert isinstance(plan, Forward)
    made = plan.effects.prepares
    assert made is not None
    assert (made.name, made.types) == ("My p", (23, 1043, 1009))
    assert made.plan.rewritten
    assert text.startswith("PREPARE pw_00000000(int, varchar(3), text[]) AS SELECT id FROM public.orders WHERE")
    assert "My p" not in text


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        ("3, -4, 1.5, 'a''b', true, NULL", (b"3", b"-4", b"1.5", b"a'b", b"true", None)),
        ("'1'::int, now(), 1 + 1, upper('x')", (None, None, None, None)),
    ],
)
def test_only_constants_are_known_values_of_arguments(
    planner: Planner, arguments: str, known: tuple[bytes | None, ...]
) -> None:
    for text in (f"EXECUTE p ({arguments})", f"EXECUTE p ( {arguments} ) -- not lifted"):
        context = PlanContext(classified(sample_policy()), planner.catalog.version, role="app")
        found = planner.plan(text.encode(), context)
        (plan,) = found.plans
        assert isinstance(plan, Forward)
        assert plan.effects.executes is not None
        assert values(plan.effects.executes, found.literals) == known


def test_arguments_of_one_shape_share_a_plan_and_not_their_values(planner: Planner) -> None:
    context = PlanContext(classified(sample_policy()), planner.catalog.version, role="app")
    planner.plan(b"EXECUTE p ('one')", context)
    again = planner.lookup(b"EXECUTE p ('two')", context)
    assert again is not None
    (plan,) = again.plans
    assert isinstance(plan, Forward)
    assert plan.effects.executes is not None
    assert values(plan.effects.executes, again.literals) == (b"two",)


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        ("EXECUTE p (set_config('work_mem', '1GB', false))", "42501"),
        ("EXECUTE p (pg_read_file('x'))", "42501"),
        ("EXECUTE p ((SELECT count(*) FROM pg_authid))", "42501"),
        ("EXECUTE p (count_orders())", "42883"),
        ("PREPARE p AS SELECT query_to_xml('SELECT * FROM orders', true, true, '')", "42501"),
        ("PREPARE p AS SELECT * FROM no_such", "42P01"),
        ("PREPARE p (no_such) AS SELECT $1", "42704"),
        ("PREPARE p (audit_log) AS SELECT $1", "42704"),
        ("PREPARE p (pg_toast.x) AS SELECT $1", "42704"),
        ("PREPARE p (regclass) AS SELECT $1", "0A000"),
        ("PREPARE p (regclass[]) AS SELECT $1", "0A000"),
        ("PREPARE p (record) AS SELECT $1", "42704"),
        ("PREPARE p AS SELECT pg_advisory_unlock_all()", "0A000"),
        ("PREPARE p AS SELECT 'pw_00000000'", "0A000"),
    ],
)
def test_what_a_statement_may_not_do_it_may_not_do_prepared_or_in_an_argument(
    planner: Planner, text: str, sqlstate: str
) -> None:
    plan, _ = planned(planner, text)
    assert isinstance(plan, Reject)
    assert plan.sqlstate == sqlstate


def test_a_function_that_policy_lists_may_be_an_argument(planner: Planner) -> None:
    policy = replace(sample_policy(), functions=(FunctionRule("public", "count_orders", None),))
    context = PlanContext(classified(policy), planner.catalog.version, role="app")
    (plan,) = planner.plan(b"EXECUTE p (count_orders())", context).plans
    assert isinstance(plan, Forward)


@pytest.mark.parametrize("pieces", [(b"EXECUTE p",), (STATEMENT_NAME + STATEMENT_NAME,), (b"EXECUTE ", STATEMENT_NAME)])
def test_a_template_whose_name_cannot_be_told_is_refused(pieces: tuple[bytes, ...]) -> None:
    holes = tuple(None for _ in pieces[1:])
    with pytest.raises(FeatureNotSupported):
        require_one_name(Template(pieces, holes))  # type: ignore[arg-type]  # what kind of holes does not matter


@pytest.mark.parametrize("type_", [2205, 2206, 2210, 4089])
def test_parse_may_not_declare_a_parameter_whose_values_are_names(planner: Planner, type_: int) -> None:
    """Its value would be looked up by the server, and the answer would tell what hidden names there are."""
    context = PlanContext(classified(sample_policy()), planner.catalog.version, role="app")
    (plan,) = planner.plan(b"SELECT $1", context, (type_,), True).plans
    assert isinstance(plan, Reject)
    assert plan.sqlstate == "0A000"
    (plan,) = planner.plan(b"SELECT $1", context, (26,), True).plans
    assert isinstance(plan, Forward)


def test_a_long_list_is_prepared_and_executed_whole(planner: Planner) -> None:
    """A plan of a few of its items would be what the name stands for on every other connection."""
    listed = ", ".join(map(str, range(1, 60)))
    context = PlanContext(classified(sample_policy()), planner.catalog.version, role="app")
    for planned_whole in (planner.plan, planner.compute):
        found = planned_whole(f"PREPARE p AS SELECT id FROM orders WHERE id IN ({listed})".encode(), context)
        (plan,) = found.plans
        assert isinstance(plan, Forward)
        assert plan.effects.prepares is not None
        inner = fill(plan.effects.prepares.plan.template, keys_of(1), found.literals).decode()
        assert listed in inner
        found = planned_whole(f"EXECUTE p ({listed})".encode(), context)
        (plan,) = found.plans
        assert isinstance(plan, Forward)
        assert plan.effects.executes is not None
        assert values(plan.effects.executes, found.literals) == tuple(b"%d" % one for one in range(1, 60))
