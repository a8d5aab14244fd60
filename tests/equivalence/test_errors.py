"""Errors: message, and the place in the client's own text, as the private database would say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.equivalence.compare import observe
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient

MISTAKES = (
    "SELECT nothing FROM orders",
    "SELECT id, nothing FROM orders WHERE id = 7",
    "SELECT id, nothing FROM orders WHERE id = 7654321",
    "SELECT 'ünïcödé', id, nothing FROM orders WHERE note = 'é' AND id = 1",
    "SELECT o.id FROM orders o WHERE o.id = 1 AND o.nothing = 'x'",
    "SELECT o.id FROM orders o LEFT JOIN customers c ON c.id = o.customer_id AND c.nothing = 3",
    "SELECT id FROM orders WHERE note + 1 = 2",
    "SELECT id FROM orders WHERE status = 'no such status'",
    "SELECT id FROM orders WHERE id = 'x1'",
    "SELECT id FROM orders WHERE id = 'a longer wrong literal'",
    "SELECT id, count(*) FROM orders WHERE id > 12",
    "SELECT count(*) FROM orders GROUP BY placed_at HAVING id > 3",
    "SELECT id FROM orders ORDER BY 9",
    "SELECT DISTINCT id FROM orders ORDER BY note",
    "SELECT a.id FROM orders a, orders a",
    "SELECT id FROM orders a, orders b",
    "SELECT x.id FROM orders a",
    "SELECT (SELECT id, note FROM orders WHERE id = 1)",
    "SELECT id FROM orders UNION SELECT id, note FROM orders",
    "SELECT id FROM orders UNION SELECT note FROM orders",
    "SELECT upper(id, note) FROM orders",
    "SELECT upper(1) FROM orders",
    "SELECT CAST(note AS int4range) + 1 FROM orders",
    "SELECT sum(count(*)) FROM orders",
    "SELECT id FROM orders WHERE sum(id) > 1",
    "SELECT id FROM orders LIMIT id",
    "SELECT 1 / (id = 2)::int4range FROM orders",
    "WITH c AS (SELECT id FROM orders WHERE id = 1) SELECT c.note FROM c",
    "WITH c(a, b) AS (SELECT id FROM orders WHERE id = 1) SELECT a FROM c",
    "SELECT id FROM orders WHERE id IN (1, 2, 'x')",
    "SELECT id FROM orders WHERE (id, note) = (1, 2, 3)",
    "UPDATE orders SET nothing = 1 WHERE id = 22",
    "UPDATE orders SET note = 1 + now() WHERE id = 22",
    "DELETE FROM orders WHERE nothing = 'x'",
    "INSERT INTO notes (id, nothing) VALUES (1, 'x')",
    "INSERT INTO orders (id, customer_id, note) VALUES (999, 'no number', 'x')",
    "SELECT id /* a comment */ , nothing FROM orders WHERE id = 7",
    "SELECT id FROM nothing WHERE id = 7",
    "SELECT id FROM orders WHERE nothing(id) = 7",
    "SELECT id FROM orders WHERE id = 1::nothing",
    "SELECT id FROM orders WHERE id = = 1",
    "SELECT id FROM orders JOIN customers USING (nothing)",
    "SELECT row_number() OVER w FROM orders",
    "SELECT id FROM orders FOR UPDATE OF nothing",
    "SELECT NULLIF(id, note) FROM orders",
    "SELECT CASE WHEN id THEN 1 END FROM orders",
    "SELECT COALESCE(id, note) FROM orders",
    "SELECT id FROM orders WHERE note LIKE 3 ESCAPE 'xx'",
    "SELECT DATE '2024-99-99', id FROM orders",
    "SELECT id FROM orders WHERE placed_at > timestamptz 'yesterdayish'",
    "SELECT meta -> 1 -> note -> tags FROM orders",
    "SELECT id FROM orders WHERE tags @> ARRAY['x', 1]",
    "SELECT id FROM orders WHERE id BETWEEN 'x' AND 'y'",
    "SELECT o.cheap_leak FROM orders o",
    "SELECT id, nothing(q, id) FROM odd o WHERE o.id = 1",
    "SELECT nothing(1::posint, o.q, qty) FROM odd o, orders",
    "SELECT id, o.order_secret FROM orders o WHERE id = 7",
    "SELECT c.purge_cancelled FROM customers c WHERE c.id = 1",
)  # fmt: skip


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        yield proxy


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_a_mistake_is_pointed_at_where_the_private_database_would(
    shared_server: Cluster, proxy: Proxy, protocol: str
) -> None:
    with (
        RawClient("127.0.0.1", shared_server.port, "app", "private1") as private,
        proxy.connect("acme_app") as proxied,
    ):
        wrong = {}
        for text in MISTAKES:
            expected, seen = (
                observe(client.simple(text) if protocol == "simple" else client.extended(text), ordered=False)
                for client in (private, proxied)
            )
            assert any(one[0] == "E" for one in expected), text
            if seen != expected:
                wrong[text] = (expected, seen)
        assert wrong == {}


def test_in_a_text_of_several_statements_too(shared_server: Cluster, proxy: Proxy) -> None:
    with (
        RawClient("127.0.0.1", shared_server.port, "app", "private1") as private,
        proxy.connect("acme_app") as proxied,
    ):
        before = 0
        for first in ("SELECT 1", "SELECT id FROM orders WHERE id = 12345 AND note = 'é'", "  "):
            for text in MISTAKES:
                whole = f"{first} ; {text}; SELECT 2"
                expected, seen = (observe(client.simple(whole), ordered=False) for client in (private, proxied))
                if seen[0][0] == "E" and expected[0][0] != "E":  # nothing of a text runs that the proxy refuses in part
                    before += 1
                    expected = [one for one in expected if one[0] in ("E", "Z")]
                assert seen == expected, whole
        assert before < len(MISTAKES)
