"""What row-level security lets through by itself (isolation.md 2.3) is closed by the proxy's guards: a hidden value
that the tenant's own role can ask for at the server says the same as one that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rls import WALLED, load_walled, rls_rules, role_of

THERE, ABSENT = "globex-secret-3", "globex-secret-nope"
ASKED = (
    "SELECT count(*) FROM orders WHERE CASE WHEN secret = '{}' THEN (SELECT id FROM products) END IS NULL",
    "SELECT count(*) FROM orders WHERE ARRAY[ARRAY['x'], CASE WHEN secret = '{}' THEN ARRAY['a', 'b'] "
    "ELSE ARRAY['y'] END] IS NULL",
)
FORMS = (
    *ASKED,
    "SELECT count(*) FROM (SELECT secret FROM orders) o WHERE CASE WHEN o.secret = '{}' "
    "THEN (SELECT id FROM products) END IS NULL",
    "SELECT count(*) FROM products p LEFT JOIN orders o ON CASE WHEN o.secret = '{}' "
    "THEN (SELECT id FROM products) END IS NULL",
    "SELECT secret FROM orders GROUP BY secret HAVING CASE WHEN secret = '{}' "
    "THEN (SELECT id FROM products) END IS NULL ORDER BY 1",
    "WITH o AS (SELECT secret FROM orders) SELECT count(*) FROM o WHERE CASE WHEN secret = '{}' "
    "THEN (SELECT id FROM products) END IS NULL",
    "UPDATE orders SET note = note WHERE CASE WHEN secret = '{}' THEN (SELECT id FROM products) END IS NULL",
    "DELETE FROM orders WHERE false AND CASE WHEN secret = '{}' THEN (SELECT id FROM products) END IS NULL",
    "SELECT count(*) FROM orders WHERE CASE WHEN secret = '{}' THEN 1 / (SELECT 0) END IS NULL",
    "SELECT count(*) FROM orders o WHERE EXISTS (SELECT FROM products p WHERE CASE WHEN o.secret = '{}' "
    "THEN (SELECT id FROM products) END IS NULL)",
)


def answer(client: RawClient, text: str) -> list[tuple[str, bytes]]:
    client.simple("BEGIN")
    told = [(one.tag, one.body) for one in client.simple(text).messages]
    client.simple("ROLLBACK")
    return told


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    load_walled(shared_server)
    with running_proxy(shared_server.port, WALLED, rules=rls_rules(shared_server.port)) as proxy:
        yield proxy


def test_the_server_alone_tells_whether_a_hidden_value_is_there(shared_server: Cluster, proxy: Proxy) -> None:
    with RawClient("127.0.0.1", shared_server.port, role_of("acme"), WALLED) as client:
        for form in ASKED:
            assert answer(client, form.format(THERE)) != answer(client, form.format(ABSENT))


@pytest.mark.parametrize("form", FORMS)
def test_through_the_proxy_it_is_not_told(proxy: Proxy, form: str) -> None:
    with proxy.connect("acme_app") as client:
        assert answer(client, form.format(THERE)) == answer(client, form.format(ABSENT))
