"""What may throw runs on rows of others only behind a guard over every relation that it needs."""

from __future__ import annotations

import pytest

from tests.sql.verify.conftest import Doubt

KEY = "OPERATOR(pg_catalog.=) '1'::int"
GUARD = f"CASE WHEN (o.tenant_id {KEY}) IS NOT FALSE THEN {{}} END"


@pytest.mark.parametrize("condition", ["1 / o.qty > 0", "o.note::int = 1", "sqrt(o.qty) > 1", "o.note ~ '('"])
def test_a_condition_that_may_throw_needs_its_guard(doubt: Doubt, condition: str) -> None:
    select = f"SELECT o.id FROM public.orders o WHERE o.tenant_id {KEY} AND "
    assert "not guarded" in doubt(select + condition)
    assert doubt(select + GUARD.format(condition)) == ""


def test_a_guard_over_one_of_two_relations_is_not_enough(doubt: Doubt) -> None:
    both = f"FROM public.orders o, public.customers c WHERE o.tenant_id {KEY} AND c.tenant_id {KEY} AND "
    assert "c that is not guarded" in doubt(f"SELECT 1 {both}" + GUARD.format("1 / (o.qty - c.id) > 0"))


@pytest.mark.parametrize(
    "guard",
    [
        "CASE WHEN (o.id {}) IS NOT FALSE THEN {} END",
        "CASE WHEN (o.tenant_id {}) IS TRUE OR true THEN {} END",
        "CASE WHEN (o.tenant_id {}) IS NOT FALSE THEN {} ELSE 1 / o.qty > 0 END",
        "CASE WHEN (o.tenant_id {}) IS NOT FALSE OR true THEN {} END",
        "CASE WHEN (o.tenant_id {}) IS NOT NULL THEN {} END",
    ],
)
def test_what_only_looks_like_a_guard_is_none(doubt: Doubt, guard: str) -> None:
    condition = guard.format(KEY, "1 / o.qty > 0")
    assert doubt(f"SELECT o.id FROM public.orders o WHERE o.tenant_id {KEY} AND {condition}") != ""


def test_an_output_that_may_throw_is_kept_in_by_a_fence(doubt: Doubt) -> None:
    inner = f"SELECT 1 / o.qty AS r FROM public.orders o WHERE o.tenant_id {KEY}"
    assert doubt(f"SELECT x.r FROM ({inner}) x WHERE x.r > 1") != ""
    fenced = f"SELECT o.qty FROM public.orders o WHERE o.tenant_id {KEY} OFFSET 0"
    assert doubt(f"SELECT 1 / x.qty FROM ({fenced}) x") == ""


def test_a_sub_select_above_the_filtered_scans_needs_no_guard_over_their_relations(doubt: Doubt) -> None:
    loud = f"CASE WHEN (c.tenant_id {KEY}) IS NOT FALSE THEN 1 / c.id < 9 END"
    link = f"(SELECT max(1) FROM public.customers c WHERE c.tenant_id {KEY} AND {loud})"
    assert doubt(f"SELECT count(*), {link} FROM public.orders o WHERE o.tenant_id {KEY}") == ""
    assert doubt(f"SELECT 1 FROM public.orders o WHERE o.tenant_id {KEY} LIMIT {link}") == ""
    both = link.replace("1 / c.id", "1 / (c.id - o.id)")
    assert doubt(f"SELECT {both} FROM public.orders o WHERE o.tenant_id {KEY}") == ""
    guarded = f"CASE WHEN (o.tenant_id {KEY}) IS NOT FALSE THEN {both} = 1 END"
    assert (
        doubt(f"SELECT 1 FROM public.orders o WHERE o.tenant_id {KEY} AND {guarded}")
        == "a condition on o that is not guarded"
    )


def test_any_of_a_sub_select_is_in(doubt: Doubt) -> None:
    link = f"(SELECT c.id FROM public.customers c WHERE c.tenant_id {KEY})"
    assert doubt(f"SELECT 1 FROM public.orders o WHERE o.tenant_id {KEY} AND o.id = ANY {link}") == ""
    assert doubt(f"SELECT 1 FROM public.orders o WHERE o.tenant_id {KEY} AND o.id < ANY {link}") != ""


def test_values_of_cast_literals_are_no_boundary(doubt: Doubt) -> None:
    query = "SELECT v.a FROM public.orders o, (VALUES ({})) v (a) WHERE o.tenant_id {} AND o.note = v.a"
    assert doubt(query.format("'x'::text", KEY)) == ""
    assert doubt(query.format("chr(7)", KEY)) == "v is no boundary"


def test_arms_are_found_where_the_set_operation_has_a_limit_of_its_own(doubt: Doubt) -> None:
    arm = f"SELECT o.id FROM public.orders o WHERE o.tenant_id {KEY}"
    limit = "LIMIT (SELECT max(abs(p.id)) FROM public.products p)"
    for arms in (f"{arm} UNION ALL ({arm} EXCEPT {arm})", f"({arm} EXCEPT {arm}) UNION ALL {arm}"):
        assert doubt(f"SELECT x.id FROM ({arms} ORDER BY 1 {limit}) x WHERE 1 / x.id > 0") == ""
    row = arm.replace("SELECT o.id", "SELECT o.tenant_id, o.id")
    foreign = row.replace("o.tenant_id, o.id", "o.id, o.id")
    insert = "INSERT INTO public.orders (tenant_id, id) "
    assert doubt(f"{insert}{row} UNION ALL {row} {limit}") == ""
    assert "not proved" in doubt(f"{insert}{foreign} UNION ALL {row} {limit}")
    assert "not proved" in doubt(f"{insert}{row} UNION ALL {foreign} {limit}")
