"""The key is the tenant's, of the column's own type, or there is none."""

from __future__ import annotations

import pytest

from tests.sql.verify.conftest import Doubt


@pytest.mark.parametrize(
    "key",
    [
        "'2'::int",
        "1",
        "'1'",
        "'1'::text",
        "'1'::int[]",
        "'1'::public.int4",
        "NULL::int",
        "$1::int",
        "(SELECT 1)::int",
        "o.id",
    ],
)
def test_anything_but_the_typed_constant_is_no_key(doubt: Doubt, key: str) -> None:
    assert doubt(f"SELECT o.id FROM public.orders o WHERE o.tenant_id OPERATOR(pg_catalog.=) {key}") != ""
    assert doubt(f"INSERT INTO public.customers (tenant_id, id, name) VALUES ({key}, 9, 'n')") != ""


def test_a_name_that_two_relations_have_confines_neither(doubt: Doubt) -> None:
    assert "not confined" in doubt(
        "SELECT 1 FROM public.orders o, LATERAL (SELECT 1 FROM public.orders o OFFSET 0) x"
        " WHERE o.tenant_id OPERATOR(pg_catalog.=) '1'::int"
    )


def test_a_renamed_column_is_meant_by_its_new_name(doubt: Doubt) -> None:
    assert doubt("SELECT 1 FROM public.tenants t (k) WHERE t.k OPERATOR(pg_catalog.=) '1'::int") == ""
    assert doubt("SELECT 1 FROM public.tenants t (k) WHERE t.id OPERATOR(pg_catalog.=) '1'::int") != ""
    assert doubt("SELECT 1 FROM public.tenants t (name, id) WHERE t.id OPERATOR(pg_catalog.=) '1'::int") != ""


def test_rows_out_of_a_confined_relation_of_the_same_key_may_be_inserted(doubt: Doubt) -> None:
    insert = "INSERT INTO public.customers (tenant_id, id, name) "
    source = "FROM public.customers c WHERE c.tenant_id OPERATOR(pg_catalog.=) '1'::int"
    assert doubt(f"{insert}SELECT c.tenant_id, c.id + 100, c.name {source}") == ""
    assert doubt(f"{insert}SELECT c.id, c.id + 100, c.name {source}") == "a row whose tenant key is not proved"
    both = f"{insert}SELECT '1'::int, 1, 'a' UNION ALL SELECT '2'::int, 1, 'a'"
    assert doubt(both) == "a row whose tenant key is not proved"


def test_the_key_may_stand_behind_a_star_as_the_last_column(doubt: Doubt) -> None:
    """As many values as columns, or the server refuses: the last value is the last column's."""
    rows = "FROM unnest('{1,2}'::int[], '{a,b}'::text[])"
    assert doubt(f"INSERT INTO public.customers (id, name, tenant_id) SELECT *, '1'::int {rows}") == ""
    assert doubt(f"INSERT INTO public.customers (id, name, tenant_id) SELECT *, '2'::int {rows}") != ""
    assert doubt(f"INSERT INTO public.customers (id, tenant_id, name) SELECT *, '1'::int {rows}") != ""
    assert doubt(f"INSERT INTO public.customers (id, name, tenant_id) SELECT '1'::int, * {rows}") != ""
