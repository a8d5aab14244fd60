"""A function is a function in every notation."""

from __future__ import annotations

import pytest

from tests.sql.verify.conftest import Doubt

MINE = "FROM public.orders o WHERE o.tenant_id OPERATOR(pg_catalog.=) '1'::int"


@pytest.mark.parametrize(
    "call",
    [
        "order_secret(o)",
        "public.order_secret(o)",
        "o.order_total",
        "(o).order_secret",
        "(o.*).order_secret",
        "(SELECT o).order_secret",
        "set_config('a.b', o.note, false)",
        "pg_terminate_backend(o.id)",
        "no_such_function(o.id)",
    ],
)
def test_a_call_that_policy_does_not_allow_is_not_proved(doubt: Doubt, call: str) -> None:
    assert doubt(f"SELECT {call} {MINE}").startswith(("a function", "what may be a call", "set_config"))


def test_a_column_of_that_name_elsewhere_does_not_make_it_a_column_here(doubt: Doubt) -> None:
    decoy = (
        "FROM public.orders o, (SELECT 1 AS order_secret OFFSET 0) x WHERE o.tenant_id OPERATOR(pg_catalog.=) '1'::int"
    )
    assert doubt(f"SELECT (o).order_secret {decoy}") == "what may be a call of order_secret"
    assert doubt(f"SELECT o.order_total {decoy.replace('order_secret', 'order_total')}") != ""
    assert doubt(f"SELECT x.order_secret {decoy}") == ""


def test_a_function_of_no_row_is_no_attribute_of_a_table_but_may_be_one_of_a_number(doubt: Doubt) -> None:
    assert doubt(f"SELECT o.order_secret {MINE}") == ""  # there is no such column, says the server
    for source in ("generate_series(1, 20) x", "unnest(ARRAY[1]) x", "(SELECT 1) x", "(VALUES (1)) x"):
        assert doubt(f"SELECT x.order_secret FROM {source}") == "what may be a call of order_secret"
    assert doubt(f"SELECT (o.id).order_secret {MINE}") == "what may be a call of order_secret"


@pytest.mark.parametrize("call", ["lower(o.note)", "o.note", "count(*)", "set_config('a.b', 'c', false)"])
def test_what_anyone_may_call_is_proved(doubt: Doubt, call: str) -> None:
    assert doubt(f"SELECT {call} {MINE}") == ""
