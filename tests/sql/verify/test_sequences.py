"""A sequence that is drawn from is proved to be a listed one, or the tenant's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.catalog.model import Column
from proxy.sql.parse import parse
from proxy.sql.verify.levels import Unproven
from proxy.sql.verify.relations import Relations
from proxy.sql.verify.sequences import check_numbers, draws, is_drawn
from proxy.sql.world import World
from tests.sql.worlds import sample_policy

POLICY = replace(sample_policy(), sequences={("public", "all_no"): "shared", ("public", "own"): "per_tenant"})
KEYS = {"$sequence public.own": '"public"."own__t_0"', "default": "1"}


def proved(call: str) -> bool:
    tree: Any = parse(f"SELECT {call}".encode(), size_limit=1 << 16, server_major=15)[0].tree
    body = tree["SelectStmt"]["targetList"][0]["ResTarget"]["val"]["FuncCall"]
    name = body["funcname"][-1]["String"]["sval"]
    assert draws(name)
    return is_drawn(name, body, POLICY, KEYS)


@pytest.mark.parametrize(
    "call",
    [
        "nextval('all_no')", "nextval('public.all_no'::regclass)", "nextval('ALL_NO'::text)",
        "pg_catalog.nextval('\"public\".\"own__t_0\"'::pg_catalog.regclass)",
        "currval('\"public\".\"own__t_0\"'::regclass)", "setval('\"public\".\"own__t_0\"', 7, false)",
    ],
)  # fmt: skip
def test_what_the_tenant_may_draw_from_is_proved(call: str) -> None:
    assert proved(call)


@pytest.mark.parametrize(
    "call",
    [
        "nextval('own')", "nextval('public.own__t_1')", "nextval('\"public\".\"own__t_1\"')", "currval('all_no')",
        "setval('all_no', 1)", "nextval('other')", "nextval('pg_catalog.all_no')", "nextval(a)", "nextval($1)",
        "nextval('all_no, x')", "nextval('all_no a')", "nextval(16384::regclass)", "lastval()", "nextval()",
        "nextval('all' || '_no')",
    ],
)  # fmt: skip
def test_nothing_else_is(call: str) -> None:
    assert not proved(call)


@pytest.fixture(scope="module")
def counted(world: World) -> Relations:
    old = world.catalog.relations["public", "notes"]
    column = Column(90, "no", 20, default="nextval('public.own'::regclass)")
    notes = replace(old, columns=(*old.columns, column))
    return Relations(POLICY, replace(world.catalog, relations={**world.catalog.relations, ("public", "notes"): notes}))


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("INSERT INTO public.notes (tenant, no) VALUES ('acme', nextval('x'))", True),
        ("INSERT INTO public.notes (tenant, no) SELECT 'acme', 1", True),
        ("INSERT INTO public.notes (tenant) VALUES ('acme')", False),
        ("INSERT INTO public.notes (tenant) SELECT 'acme'", False),
        ("INSERT INTO public.notes (tenant, no) VALUES ('acme', 1), ('acme', DEFAULT)", False),
        ("INSERT INTO public.notes DEFAULT VALUES", False),
        ("WITH w AS (INSERT INTO public.notes (tenant) VALUES ('acme')) SELECT 1", False),
        ("INSERT INTO public.orders (id) VALUES (1)", True),
        (
            "MERGE INTO public.notes n USING public.categories c ON true WHEN NOT MATCHED THEN INSERT (id) VALUES (1)",
            False,
        ),
        (
            "MERGE INTO public.notes n USING public.categories c ON true WHEN NOT MATCHED THEN INSERT (no) VALUES (1)",
            True,
        ),
    ],
)
def test_no_row_draws_from_everybodys_sequence_by_a_default(counted: Relations, text: str, good: bool) -> None:
    tree = parse(text.encode(), size_limit=1 << 16, server_major=18)[0].tree
    if good:
        check_numbers(tree, counted)
        return
    with pytest.raises(Unproven):
        check_numbers(tree, counted)
