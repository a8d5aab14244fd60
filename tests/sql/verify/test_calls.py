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
        "o.order_secret",
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
    assert doubt(f"SELECT o.order_secret {decoy}") == "what may be a call of order_secret"
    assert doubt(f"SELECT x.order_secret {decoy}") == ""


@pytest.mark.parametrize("call", ["lower(o.note)", "o.note", "count(*)", "set_config('a.b', 'c', false)"])
def test_what_anyone_may_call_is_proved(doubt: Doubt, call: str) -> None:
    assert doubt(f"SELECT {call} {MINE}") == ""
