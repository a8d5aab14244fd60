"""Merge: own rows of the target only, whatever the source, and new rows with the tenant's key."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from proxy.errors import FeatureNotSupported, InsufficientPrivilege
from proxy.sql.world import World
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample
from tests.sql.rewrite.test_real import PLANS, QUIET, check
from tests.sql.worlds import confined, sample_catalog, sample_policy, text_of

KEY = "'1'::int"
MERGES = [
    (
        "customers c USING orders o ON c.id = o.id WHEN MATCHED THEN DO NOTHING",
        "public.customers c USING public.orders o JOIN (SELECT) _iso1 ON o.tenant_id = KEY ON c.tenant_id = KEY "
        "AND c.id = o.id WHEN MATCHED THEN DO NOTHING",
    ),
    (
        "customers c USING (SELECT id FROM orders) o ON c.id = o.id WHEN MATCHED THEN DELETE",
        "public.customers c USING (SELECT id FROM public.orders WHERE orders.tenant_id = KEY) o ON c.tenant_id = KEY "
        "AND c.id = o.id WHEN MATCHED THEN DELETE",
    ),
    (
        "customers c USING products p ON c.id = p.id WHEN NOT MATCHED THEN INSERT VALUES (DEFAULT, 7)",
        "public.customers c USING public.products p ON c.tenant_id = KEY AND c.id = p.id "
        f"WHEN NOT MATCHED THEN INSERT (tenant_id, id) VALUES ({KEY}, 7)",
    ),
    (
        "customers c USING products p ON c.id = p.id WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
        "public.customers c USING public.products p ON c.tenant_id = KEY AND c.id = p.id "
        f"WHEN NOT MATCHED THEN INSERT (tenant_id) VALUES ({KEY})",
    ),
    (
        "customers c USING products p ON pg_size_bytes(c.name) = p.id WHEN MATCHED THEN DELETE",
        "public.customers c USING public.products p ON c.tenant_id = KEY AND CASE WHEN c.tenant_id = KEY IS NOT FALSE "
        "THEN pg_size_bytes(c.name) = p.id END WHEN MATCHED THEN DELETE",
    ),
    (
        "customers c USING (SELECT id / qty AS n FROM orders) o ON c.id = o.n WHEN MATCHED THEN DELETE",
        "public.customers c USING (SELECT id / qty AS n FROM public.orders WHERE orders.tenant_id = KEY OFFSET 0) o "
        "ON c.tenant_id = KEY AND CASE WHEN c.tenant_id = KEY IS NOT FALSE THEN c.id = o.n END "
        "WHEN MATCHED THEN DELETE",
    ),
]
REAL = [
    "MERGE INTO customers c USING (VALUES (1, 'a'), (940, 'b')) s(id, name) ON c.id = s.id WHEN MATCHED THEN "
    "UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)",
    "MERGE INTO customers c USING orders o ON c.id = o.id + 900 WHEN NOT MATCHED THEN INSERT VALUES "
    "(o.tenant_id, o.id + 900, o.secret)",
    "MERGE INTO customers c USING (SELECT DISTINCT customer_id AS id FROM orders) o ON c.id = o.id + 7 "
    "WHEN MATCHED THEN DELETE",
    "MERGE INTO order_items i USING (orders o JOIN users u ON u.id = o.user_id) ON i.order_id = o.id AND i.line = 1 "
    "WHEN MATCHED AND u.is_active THEN DELETE WHEN MATCHED THEN UPDATE SET qty = 9",
    "WITH x AS (SELECT max(id) AS id FROM orders) MERGE INTO order_items i USING x ON i.order_id = x.id "
    "WHEN MATCHED THEN UPDATE SET price = (SELECT max(amount) FROM orders)",
    "MERGE INTO metrics m USING metrics s ON m.day = s.day AND m.name = s.name WHEN MATCHED THEN UPDATE "
    "SET value = m.value + 1, tenant_id = s.tenant_id",
    "MERGE INTO ONLY assets a USING vehicles v ON a.id = v.id WHEN NOT MATCHED THEN INSERT (id, label) "
    "VALUES (v.id, v.label)",
]
THROWING = [
    "MERGE INTO order_items i USING (SELECT id, pg_size_bytes(note) AS b FROM orders WHERE note IS NOT NULL) s "
    "ON s.id = i.order_id AND s.b IS NULL WHEN MATCHED THEN DELETE",
    "MERGE INTO orders o USING products p ON o.id = p.id AND o.note IS NOT NULL AND pg_size_bytes(o.note) = p.id "
    "WHEN MATCHED THEN UPDATE SET qty = 2",
    "MERGE INTO orders o USING (VALUES (1)) s(i) ON o.id = s.i WHEN MATCHED AND pg_size_bytes(o.note) > 0 THEN DELETE",
]
NEWER = [
    "MERGE INTO orders o USING (VALUES (1)) s(i) ON o.id = s.i WHEN NOT MATCHED BY SOURCE THEN DELETE",
    "MERGE INTO orders o USING (VALUES (1)) s(i) ON o.id = s.i WHEN NOT MATCHED BY SOURCE AND o.note IS NOT NULL AND "
    "pg_size_bytes(o.note) IS NULL THEN DELETE",
    "MERGE INTO orders o USING (VALUES (1)) s(i) ON o.id = s.i WHEN NOT MATCHED BY SOURCE THEN UPDATE "
    "SET qty = 1 / qty",
    "MERGE INTO notes n USING (VALUES (1), (77)) s(i) ON n.id = s.i AND s.i <> 1 / length(n.body) WHEN NOT MATCHED BY "
    "SOURCE THEN DELETE WHEN NOT MATCHED BY TARGET THEN INSERT (id, body) VALUES (s.i + 100, 'x') RETURNING n.*",
    "MERGE INTO orders o USING (VALUES (1)) s(i) ON o.id = s.i WHEN MATCHED THEN UPDATE SET qty = 2 "
    "RETURNING merge_action(), (SELECT max(secret) FROM orders)",
    "WITH m AS (MERGE INTO notes n USING (VALUES (1), (2)) s(i) ON n.id = s.i WHEN MATCHED THEN DELETE RETURNING *) "
    "SELECT count(*), min(tenant), max(i) FROM m",
]


@pytest.mark.parametrize(("sql", "expected"), MERGES)
def test_the_target_is_confined_in_on_and_every_source_is_fenced(world: World, sql: str, expected: str) -> None:
    assert text_of(world, f"MERGE INTO {sql}") == f"MERGE INTO {expected}"


def test_what_the_client_gives_for_the_tenant_column_is_asked_for(world: World) -> None:
    into = "MERGE INTO customers c USING orders o ON c.id = o.id"
    sql = f"{into} WHEN MATCHED THEN UPDATE SET tenant_id = 9 WHEN NOT MATCHED THEN INSERT VALUES (8, o.id)"
    done, text = confined(world, sql)
    assert [one.value for one in done.checks] == [b"9", b"8"]
    assert f"SET tenant_id = {KEY} WHEN NOT MATCHED THEN INSERT (tenant_id, id) VALUES ({KEY}, o.id)" in text


@pytest.mark.parametrize(
    "action",
    [
        "WHEN MATCHED THEN UPDATE SET tenant_id = o.id",
        "WHEN MATCHED THEN UPDATE SET tenant_id = DEFAULT",
        "WHEN MATCHED THEN UPDATE SET (name, tenant_id) = ('x', o.id)",
        "WHEN NOT MATCHED THEN INSERT VALUES (o.id, 1)",
    ],
)
def test_a_key_that_is_not_the_own_one_is_refused(world: World, action: str) -> None:
    with pytest.raises(InsufficientPrivilege) as caught:
        text_of(world, f"MERGE INTO customers c USING orders o ON c.id = o.id {action}")
    assert caught.value.message == 'new row violates row-level security policy for table "customers"'


@pytest.mark.parametrize(
    "sql",
    [
        "coupons c USING orders o ON c.pct = o.id WHEN NOT MATCHED THEN INSERT (code, pct) VALUES ('x', 1)",
        "coupons c USING orders o ON c.pct = o.id WHEN NOT MATCHED THEN INSERT VALUES ('x')",
        "coupons c USING orders o ON c.pct = o.id WHEN MATCHED THEN UPDATE SET code = 'x'",
        "transfers t USING orders o ON t.id = o.id WHEN MATCHED THEN UPDATE SET from_id = 1",
    ],
)
def test_keys_without_the_tenant_column_may_not_be_written(world: World, sql: str) -> None:
    with pytest.raises(FeatureNotSupported):
        text_of(world, f"MERGE INTO {sql}")


def test_shared_tables_are_no_target(world: World) -> None:
    with pytest.raises(InsufficientPrivilege):
        text_of(world, "MERGE INTO products p USING orders o ON p.id = o.id WHEN MATCHED THEN DELETE")


@pytest.mark.parametrize("sql", REAL)
def test_merge_answers_as_in_a_private_database(shared_server: Cluster, sql: str) -> None:
    check(shared_server, (), sql)


@pytest.mark.parametrize("plans", [(), PLANS], ids=["indexes", "scans"])
@pytest.mark.parametrize("sql", THROWING)
def test_what_throws_never_runs_on_another_tenants_row(
    shared_server: Cluster, sql: str, plans: tuple[str, ...]
) -> None:
    check(shared_server, QUIET + plans, sql)


@pytest.mark.parametrize("plans", [(), PLANS], ids=["indexes", "scans"])
@pytest.mark.parametrize("sql", NEWER)
def test_what_17_added_is_confined_as_well(postgres18: Cluster, sql: str, plans: tuple[str, ...]) -> None:
    check(load_sample(postgres18), QUIET + plans, sql)


def test_rows_that_no_source_matches_are_the_tenants_own(postgres18: Cluster) -> None:
    """Bare, WHEN NOT MATCHED BY SOURCE deletes every row of every tenant."""
    port = urlsplit(load_sample(postgres18).dsn()).port or 0
    world = World(sample_policy(), sample_catalog(port))
    merge = "MERGE INTO users u USING (VALUES (1)) s(i) ON u.id = s.i"
    assert text_of(world, f"{merge} WHEN NOT MATCHED BY SOURCE AND 1 / u.id > 0 THEN DELETE").endswith(
        "WHEN NOT MATCHED BY SOURCE AND u.tenant_id = KEY AND CASE WHEN u.tenant_id = KEY IS NOT FALSE "
        "THEN 1 / u.id > 0 END THEN DELETE"
    )
