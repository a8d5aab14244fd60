"""What wraps a query is proved by its query, and not at all where its form is not known."""

from __future__ import annotations

import pytest

from tests.sql.verify.conftest import Doubt

CONFINED = "SELECT orders.id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) '1'::pg_catalog.int4"
WRAPPED = [
    "DECLARE c CURSOR WITH HOLD FOR {}",
    "PREPARE pw_00000000 AS {}",
    "CREATE TEMP TABLE t AS {}",
    "COPY ({}) TO STDOUT",
]


@pytest.mark.parametrize("frame", WRAPPED)
def test_a_wrapped_query_must_be_confined(doubt: Doubt, frame: str) -> None:
    assert doubt(frame.format(CONFINED)) == ""
    assert doubt(frame.format("SELECT orders.id FROM public.orders")) == "orders is not confined"


@pytest.mark.parametrize(
    "frame",
    [
        "CREATE TABLE t AS {}",
        "CREATE UNLOGGED TABLE t AS {}",
        "CREATE TABLE pg_temp.t AS {}",
        "CREATE MATERIALIZED VIEW t AS {}",
        "COPY ({}) TO '/tmp/t'",
        "COPY ({}) TO PROGRAM 'cat'",
        "CREATE TEMP VIEW t AS {}",
        "PREPARE p AS {}",
        "PREPARE pw_1 AS {}",
    ],
)
def test_a_wrapper_that_leaves_something_for_others_is_not_proved(doubt: Doubt, frame: str) -> None:
    assert doubt(frame.format(CONFINED)) != ""


def test_what_is_executed_has_the_proxys_name_and_its_arguments_are_proved(doubt: Doubt) -> None:
    assert doubt("EXECUTE pw_00000000") == ""
    assert doubt("EXECUTE pw_00000000 (1, now(), NULL)") == ""
    assert doubt(f"EXECUTE pw_00000000 (({CONFINED}))") == ""
    assert doubt("EXECUTE p (1)") != ""
    assert doubt("EXECUTE pw_00000000 (pg_read_file('x'))") != ""
    assert doubt("EXECUTE pw_00000000 ((SELECT orders.id FROM public.orders))") == "orders is not confined"
    assert doubt("CREATE TEMP TABLE t AS EXECUTE pw_00000000 (1)") == ""
    assert doubt("CREATE TABLE t AS EXECUTE pw_00000000 (1)") == "a table that stays"
