"""What policy shows is judged from policy and catalog alone, and hidden is the default."""

from __future__ import annotations

import pytest

from proxy.sql.verify.relations import Relations


@pytest.mark.parametrize(
    ("schema", "name"),
    [("public", "leaky_stats"), ("public", "no_such"), ("evil", "orders"), ("pg_catalog", "pg_class"), ("", "orders")],
)
def test_what_is_not_listed_is_not_shown(relations: Relations, schema: str, name: str) -> None:
    assert relations.shown(schema, name) is None


def test_a_tenant_table_is_shown_with_the_column_that_confines_it(relations: Relations) -> None:
    shown = relations.shown("public", "orders")
    assert shown is not None
    assert (shown.access, shown.column.name if shown.column else "") == ("tenant", "tenant_id")


def test_a_shared_table_has_no_column_to_confine_it_by(relations: Relations) -> None:
    shown = relations.shown("public", "products")
    assert shown is not None
    assert (shown.access, shown.column) == ("shared", None)


@pytest.mark.parametrize("name", ["pg_read_file", "pg_sleep_no_such", "query_to_xml", "dblink", "order_secret"])
def test_what_no_policy_lists_cannot_be_called(relations: Relations, name: str) -> None:
    assert not relations.callable(None, name)


def test_what_only_computes_can_be_called(relations: Relations) -> None:
    assert relations.callable(None, "lower")
    assert relations.callable("pg_catalog", "count")
    assert not relations.callable("public", "lower")
