"""Under `isolation: rls` the server's policies decide which rows there are; guards, boundaries and keys stay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.plan import Forward, Plan, Reject
from proxy.sql.planner import Planner
from proxy.sql.verify import verify
from tests.kit.postgres import Cluster
from tests.kit.rls import rls_catalog, rls_context
from tests.sql.worlds import keys_of


def sent(server: Cluster, text: str, mode: str = "rls") -> tuple[str, Plan]:
    """What is sent for tenant 1."""
    context = rls_context(server, mode)
    planner = Planner(rls_catalog(server.port), 1 << 20)
    made = planner.plan(text.encode(), context)
    return "".join(planner.explain_text(made, keys_of(1))), made.plans[0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("SELECT id FROM orders WHERE id = 1", "SELECT id FROM public.orders WHERE id = 1"),
        ("UPDATE orders SET note = 'x'", "UPDATE public.orders SET note = 'x'"),
        ("DELETE FROM orders", "DELETE FROM public.orders"),
        ("TRUNCATE notes", "DELETE FROM public.notes"),
        (
            "SELECT o.id FROM orders o FULL JOIN customers c ON c.id = o.customer_id",
            "SELECT o.id FROM public.orders o FULL JOIN public.customers c ON c.id = o.customer_id",
        ),
        (
            "INSERT INTO notes (id, body) VALUES (1, 'x')",
            "INSERT INTO public.notes (id, body, tenant) VALUES (1, 'x', 'acme'::pg_catalog.text)",
        ),
        ("COPY notes TO STDOUT", "COPY (SELECT tenant, id, body, author, updated_at FROM ONLY public.notes) TO STDOUT"),
    ],
)
def test_no_predicate_is_put_in(postgres15: Cluster, text: str, wanted: str) -> None:
    assert sent(postgres15, text)[0] == wanted


def test_what_may_throw_is_guarded_all_the_same(postgres15: Cluster) -> None:
    guard = "CASE WHEN orders.tenant_id OPERATOR(pg_catalog.=) '1'::int IS NOT FALSE THEN "
    for condition in (
        "CASE WHEN secret = 'x' THEN (SELECT id FROM products) END IS NULL",
        "ARRAY[ARRAY['x'], CASE WHEN secret >= 'x' THEN ARRAY['a', 'b'] ELSE ARRAY['y'] END] IS NULL",
        "pg_size_bytes(note) IS NULL",
    ):
        assert guard in sent(postgres15, f"SELECT count(*) FROM orders WHERE {condition}")[0]


def test_merge_asks_for_own_rows_of_its_target(postgres15: Cluster) -> None:
    text, _ = sent(
        postgres15,
        "MERGE INTO notes n USING (VALUES (1)) v(id) ON n.id = v.id "
        "WHEN NOT MATCHED THEN INSERT (id, body) VALUES (7, 'x')",
    )
    assert "ON n.tenant OPERATOR(pg_catalog.=) 'acme'::pg_catalog.text AND n.id = v.id" in text


def test_a_given_key_is_asked_for_as_in_row_mode(postgres15: Cluster) -> None:
    _, plan = sent(postgres15, "INSERT INTO notes (tenant, id, body) VALUES ($1, 1, 'x')")
    assert isinstance(plan, Forward)
    assert [one.value for one in plan.checks] == [1]


def test_with_a_second_wall_the_text_is_that_of_row_mode(postgres15: Cluster) -> None:
    assert "WHERE notes.tenant" in sent(postgres15, "SELECT id FROM notes", "row+rls")[0]


def test_a_column_list_that_hides_the_tenant_column_is_no_hindrance(postgres15: Cluster) -> None:
    names = ", ".join(["same"] * 2)
    text = f"SELECT 1 FROM notes AS n({names}, a, b)"
    assert isinstance(sent(postgres15, text)[1], Forward)
    assert not isinstance(sent(postgres15, text, "row+rls")[1], Forward)


def test_the_verifier_asks_for_guards_and_keys_and_not_for_predicates(postgres15: Cluster) -> None:
    context, row = rls_context(postgres15, "rls"), rls_context(postgres15, "row+rls")
    catalog, keys = rls_catalog(postgres15.port), keys_of(1)
    verify("SELECT id FROM public.orders WHERE id = 1", context, catalog, keys)
    with pytest.raises(FeatureNotSupported):
        verify("SELECT id FROM public.orders WHERE id = 1", row, catalog, keys)
    for text in (
        "SELECT id FROM public.orders WHERE pg_size_bytes(note) IS NULL",
        "SELECT id FROM orders",
        "SELECT 1 FROM public.mv_order_stats",
        "INSERT INTO public.notes (id, body) VALUES (1, 'x')",
        "UPDATE public.notes SET tenant = 'globex'",
        "SELECT o.n FROM (SELECT pg_size_bytes(note) AS n FROM public.orders) o",
    ):
        with pytest.raises(FeatureNotSupported):
            verify(text, context, catalog, keys)


def test_a_table_that_has_lost_its_policy_is_gone(postgres15: Cluster) -> None:
    context, catalog = rls_context(postgres15, "rls"), rls_catalog(postgres15.port)
    name = ("public", "notes")
    bare = replace(catalog, relations={**catalog.relations, name: replace(catalog.relations[name], wall=None)})
    (plan,) = Planner(bare, 1 << 20).plan(b"SELECT 1 FROM notes", context).plans
    assert isinstance(plan, Reject)
    assert plan.sqlstate == "42P01"
    with pytest.raises(FeatureNotSupported):
        verify("SELECT 1 FROM public.notes", context, bare, keys_of(1))
