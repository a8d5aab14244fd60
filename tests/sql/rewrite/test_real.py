"""Rewritten statements on real servers: the shared database answers as the private one does.

The whole corpora run in tests/equivalence and tests/escapes; here are the shapes that forms of the rule have broken on.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from proxy.sql.world import World
from tests.equivalence.compare import Seen, observe
from tests.kit.postgres import Cluster
from tests.kit.rawclient import RawClient
from tests.sql.worlds import confined, sample_catalog, sample_policy

# Own rows get harmless values first, so that whatever throws has thrown on another tenant's row.
QUIET = (
    "UPDATE orders SET note = NULL, meta = '{}' WHERE tenant_id = 1",
    "UPDATE customers SET city = 'a', email = NULL WHERE tenant_id = 1",
    "UPDATE users SET tags = '{a}' WHERE tenant_id = 1",
)
PLANS = ("SET LOCAL enable_indexscan = off", "SET LOCAL enable_bitmapscan = off")

JOINS = [
    "SELECT c.id, o.id FROM customers c JOIN orders o ON o.customer_id = c.id",
    "SELECT c.id, o.id FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.qty > 2",
    "SELECT c.id, o.id FROM customers c RIGHT JOIN orders o ON o.customer_id = c.id",
    "SELECT c.id, o.id FROM customers c FULL JOIN orders o ON o.id = c.id + 3",
    "SELECT * FROM customers LEFT JOIN orders USING (id)",
    "SELECT * FROM customers FULL JOIN orders USING (tenant_id, id)",
    "SELECT count(*) FROM customers NATURAL JOIN orders",
    "SELECT * FROM (customers c JOIN orders o ON o.id = c.id) AS j",
    "SELECT ju.id FROM customers c LEFT JOIN orders o USING (id) AS ju",
    "SELECT count(*) FROM (customers c LEFT JOIN orders o ON o.id = c.id) RIGHT JOIN users u ON u.id = o.id",
    "SELECT count(*), count(o.id) FROM products p LEFT JOIN (orders o JOIN users u ON u.id = o.user_id) ON o.id = p.id",
    (
        "SELECT c.id, l.n FROM customers c LEFT JOIN LATERAL (SELECT count(*) AS n FROM orders o WHERE "
        "o.customer_id = c.id) l ON true"
    ),
]
NAMES = [
    "WITH orders AS (SELECT id FROM orders WHERE id < 4) SELECT count(*) FROM orders",
    "WITH a AS (WITH orders AS (SELECT 1) SELECT * FROM orders) SELECT count(*) FROM orders",
    "WITH RECURSIVE a AS (SELECT count(*) AS n FROM b), b AS (SELECT * FROM orders) SELECT n FROM a",
    "WITH orders AS (SELECT 1) DELETE FROM orders WHERE tenant_id = 2 RETURNING id",
    "SELECT count(*) FROM orders AS o(a, b) WHERE b > 1",
    "SELECT orders FROM orders WHERE orders.id = 2",
    'SELECT "public"."orders"."id" FROM "public"."orders" ORDER BY 1',
    (
        "SELECT c.id, c.name, count(o.*) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id "
        "GROUP BY c.tenant_id, c.id"
    ),
    "SELECT * FROM orders WHERE (note IS NULL OR true) BETWEEN false AND true",
    "SELECT count(*) FROM orders AS _iso1, (SELECT count(*) FROM customers) AS _iso2",
    "SELECT id FROM products LIMIT (SELECT count(*) FROM orders WHERE tenant_id = 2)",
    "TABLE tenants",
    "SELECT id FROM customers ORDER BY id FOR UPDATE",
]
WRITES = [
    "INSERT INTO notes (id, body) VALUES (902, 'mine'), (903, 'too') RETURNING *",
    (
        "INSERT INTO customers SELECT tenant_id, id + 1000, name, email, city, credit, created_at FROM "
        "customers RETURNING *"
    ),
    "INSERT INTO notes VALUES (DEFAULT, 904, 'x') RETURNING tenant",
    (
        "INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (tenant_id, id) DO UPDATE SET name "
        "= 'mine' RETURNING *"
    ),
    "INSERT INTO customers (id, name) VALUES (1, 'dup')",
    "UPDATE orders SET note = 'x' FROM customers WHERE customers.tenant_id = 2",
    "UPDATE orders AS customers SET note = 'x' WHERE id = 3 RETURNING customers.tenant_id",
    "UPDATE events_2024 SET kind = 'x' RETURNING tenant_id",
    "DELETE FROM assets RETURNING tenant_id, id",
    "DELETE FROM metrics_t3",
    "WITH x AS (DELETE FROM notes RETURNING *) SELECT count(*), min(tenant), max(tenant) FROM x",
]
THROWERS = [
    "SELECT id FROM orders WHERE note IS NOT NULL AND pg_size_bytes(note) IS NULL",
    "SELECT count(*) FROM orders WHERE note LIKE 'note 3 for g\\'",
    "SELECT count(*) FROM orders WHERE CASE WHEN secret = 'globex-secret-3' THEN (SELECT id FROM products) END IS NULL",
    "SELECT o.id FROM orders o, LATERAL (VALUES (pg_size_bytes(o.note))) v(x) WHERE o.note IS NOT NULL AND v.x IS NULL",
    (
        "SELECT count(*) FROM (SELECT * FROM orders FOR UPDATE) s WHERE s.note IS NOT NULL AND "
        "pg_size_bytes(s.note) IS NULL"
    ),
    (
        "SELECT j.note FROM (orders o JOIN customers c ON c.id = o.customer_id) AS j WHERE j.note IS NOT "
        "NULL AND pg_size_bytes(j.note) IS NULL"
    ),
    (
        "WITH x AS (SELECT note FROM orders WHERE note IS NOT NULL) SELECT (SELECT count(*) FROM x WHERE "
        "pg_size_bytes(x.note) IS NULL)"
    ),
    (
        "SELECT 1 FROM orders o WHERE EXISTS (SELECT FROM products p WHERE o.note IS NOT NULL AND "
        "pg_size_bytes(o.note) > p.id)"
    ),
    (
        "SELECT 1 FROM (SELECT note FROM orders WHERE note IS NOT NULL) s, LATERAL (SELECT 1 WHERE "
        "pg_size_bytes(s.note) IS NULL) l"
    ),
    "SELECT id FROM odd_loud WHERE n > 0 OR n IS NULL",
    "SELECT count(*) FROM odd ORDER BY min(loc <-> point(1e308, 1e308))",
    "SELECT id FROM odd ORDER BY loc <-> point(1e308, 1e308), id",
    "SELECT loc <-> point(1e308, 1e308) AS d FROM odd ORDER BY d",
    "WITH RECURSIVE b AS (SELECT id, note FROM orders WHERE note IS NOT NULL), r(n, t) AS (SELECT id, note FROM b "
    "WHERE pg_size_bytes(note) IS NULL UNION ALL SELECT n + 1, t FROM r WHERE n < 2) SELECT count(*) FROM r",
    "SELECT count(*) FROM odd WHERE body IS NOT NULL AND c1 < c2",
    "SELECT count(*) FROM odd WHERE coalesce(c1, c2) BETWEEN 'a' AND 'z'",
    "SELECT count(*) FROM odd WHERE num = ANY (ARRAY[1.5::float8])",
    "SELECT count(*) FROM odd WHERE coalesce(nd, 'x') LIKE 'x%'",
    "SELECT count(*) FROM orders o WHERE o.secret >= 'b' AND (o.id IS NULL OR '-1'::posint IS NULL)",
    "SELECT count(*) FROM odd WHERE (jb ->> 'n')::int = 1",
    "SELECT count(*) FROM odd a FULL JOIN odd b ON a.num = b.dbl",
    (
        "DELETE FROM order_items i USING orders o, LATERAL (SELECT pg_size_bytes(o.note) AS b) z WHERE "
        "z.b IS NULL AND i.order_id = o.id"
    ),
    "UPDATE orders SET qty = 2 WHERE note IS NOT NULL AND pg_size_bytes(note) IS NULL",
    "SELECT note FROM orders GROUP BY note HAVING note IS NOT NULL AND pg_size_bytes(note) IS NULL",
]


def answers(port: int, database: str, statements: list[str]) -> list[Seen]:
    with RawClient("127.0.0.1", port, "app", database) as client:
        client.simple("BEGIN")
        seen = [one for sql in statements for one in observe(client.simple(sql), ordered=False)]
        client.simple("ROLLBACK")
    return seen


def check(cluster: Cluster, before: tuple[str, ...], sql: str) -> list[Seen]:
    port = urlsplit(cluster.dsn()).port or 0
    world = World(sample_policy(), sample_catalog(port))
    settings = [one for one in before if one.startswith("SET")]
    own = [confined(world, one)[1] for one in (*before, sql) if not one.startswith("SET")]
    seen = answers(port, "shared", settings + own)
    assert seen == answers(port, "private1", [*settings, *(one for one in before if one not in settings), sql])
    return seen


@pytest.mark.parametrize("sql", JOINS + NAMES + WRITES)
def test_the_shared_database_answers_as_a_private_one(shared_server: Cluster, sql: str) -> None:
    check(shared_server, (), sql)


@pytest.mark.parametrize("plans", [(), PLANS], ids=["indexes", "scans"])
@pytest.mark.parametrize("sql", THROWERS)
def test_what_throws_never_runs_on_another_tenants_row(
    shared_server: Cluster, sql: str, plans: tuple[str, ...]
) -> None:
    check(shared_server, QUIET + plans, sql)
