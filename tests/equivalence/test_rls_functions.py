"""Behind policies a function that the rules list may read tenants' tables: nobody rewrites its body, and the server
shows it the tenant's rows.
"""

from __future__ import annotations

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rls import WALLED, load_walled, rls_rules

ASKED = (
    "SELECT count_orders()",
    "SELECT id, (SELECT count_orders()) AS c FROM customers WHERE id < 3 ORDER BY id",
    "SELECT count(*) FROM orders WHERE count_orders() > id",
)


@pytest.mark.parametrize("mode", ["rls", "row+rls"])
def test_a_listed_function_sees_own_rows(shared_server: Cluster, mode: str) -> None:
    load_walled(shared_server)
    rules = rls_rules(shared_server.port, mode=mode).replace("allow: [", "allow: [count_orders, ")
    with running_proxy(shared_server.port, WALLED, rules=rules) as proxy:
        for tenant, login in ((1, "acme_app"), (2, "globex_app")):
            with (
                proxy.connect(login) as client,
                RawClient("127.0.0.1", shared_server.port, "app", f"private{tenant}") as private,
            ):
                for text in ASKED:
                    exchange = client.simple(text)
                    assert not exchange.errors
                    assert exchange.rows == private.simple(text).rows
