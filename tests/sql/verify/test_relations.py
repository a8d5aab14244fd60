"""What policy shows is judged from policy and catalog alone, and hidden is the default."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.sql.planner import Planner
from proxy.sql.verify.relations import Relations
from tests.kit.postgres import Cluster
from tests.kit.rls import rls_catalog, rls_context


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


def test_behind_policies_only_what_they_hold_for_is_shown(postgres15: Cluster) -> None:
    context = rls_context(postgres15, "row+rls")
    catalog = rls_catalog(postgres15.port)
    shown = Relations(context.policy, catalog).shown
    assert shown("public", "orders") is not None
    assert shown("public", "open_orders") is not None
    assert shown("public", "mv_order_stats") is None
    orders, view = catalog.relations["public", "orders"], catalog.relations["public", "open_orders"]
    for other in (
        replace(orders, wall=None),
        replace(orders, wall=("tenant_id", "slug")),
        replace(view, security_invoker=False, owner="postgres"),
        replace(view, reads=(*view.reads, catalog.relations["public", "mv_order_stats"].oid)),
    ):
        name = (other.schema, other.name)
        fewer = replace(
            catalog,
            relations={**catalog.relations, name: other},
            bypassing=catalog.bypassing | {"postgres"},
        )
        assert Relations(context.policy, fewer).shown(*name) is None


def test_what_is_shown_behind_policies_is_what_catalogs_show(postgres15: Cluster) -> None:
    for mode in ("rls", "row+rls"):
        context = rls_context(postgres15, mode)
        planned = Planner(rls_catalog(postgres15.port), 1 << 20).plan(b"SELECT relname FROM pg_class", context)
        assert planned.rejection is None
