"""Positioned: WHERE CURRENT OF stays as it is, where nothing else needs a predicate; the session asks
about its cursor.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.plan import Forward, PlanContext, Reject
from proxy.sql.planner import Planner
from proxy.sql.world import World
from tests.equivalence.compare import Seen, observe
from tests.kit.checksums import foreign_checksums
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.sql.worlds import text_of


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE orders SET qty = 1 WHERE CURRENT OF c", "UPDATE public.orders SET qty = 1 WHERE CURRENT OF c"),
        (
            "DELETE FROM orders WHERE CURRENT OF c RETURNING (SELECT max(id) FROM users)",
            "DELETE FROM public.orders WHERE CURRENT OF c RETURNING "
            "(SELECT max(id) FROM public.users WHERE users.tenant_id = KEY)",
        ),
    ],
)
def test_the_row_of_a_cursor_is_named_by_the_cursor(world: World, sql: str, expected: str) -> None:
    assert text_of(world, sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE orders SET qty = 1 FROM users WHERE CURRENT OF c",
        "DELETE FROM orders USING users WHERE CURRENT OF c",
        "WITH a AS (DELETE FROM orders WHERE CURRENT OF c RETURNING *) SELECT * FROM a",
    ],
)
def test_beside_other_tables_and_within_other_statements_it_is_refused(world: World, sql: str) -> None:
    with pytest.raises(FeatureNotSupported):
        text_of(world, sql)


def test_the_session_is_told_which_cursor(world: World) -> None:
    planner, context = Planner(world.catalog, 0), PlanContext(world.policy, 1, role="app")
    (plan,) = planner.plan(b'UPDATE orders SET qty = 1 WHERE CURRENT OF "C x"', context).plans
    assert isinstance(plan, Forward)
    assert plan.effects.positioned == "C x"
    (refused,) = planner.plan(b"COPY (DELETE FROM orders WHERE CURRENT OF c RETURNING id) TO STDOUT", context).plans
    assert isinstance(refused, Reject)
    assert refused.sqlstate == "0A000"


PLAYS = [
    ["DECLARE c CURSOR FOR SELECT * FROM orders WHERE id > 3", "FETCH 2 FROM c",
     "UPDATE orders SET qty = 77"
     " WHERE CURRENT OF c RETURNING id, qty", "MOVE 3 IN c", "DELETE FROM orders WHERE CURRENT OF c RETURNING id"],
    ["DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY secret DESC FOR UPDATE", "FETCH 4 FROM c",
     "UPDATE orders SET note = 'here' WHERE CURRENT OF c RETURNING id"],
    ["DECLARE c CURSOR FOR SELECT * FROM events WHERE kind = 'buy'", "FETCH c", "DELETE FROM events WHERE CURRENT OF c "
     "RETURNING tenant_id, id", "FETCH c", "UPDATE events SET kind = 'x' WHERE CURRENT OF c"],
    ["DECLARE c CURSOR FOR SELECT * FROM orders", "UPDATE orders SET qty = 1 WHERE CURRENT OF c"],
    ["DECLARE c CURSOR FOR SELECT * FROM orders", "FETCH ALL FROM c", "DELETE FROM orders WHERE CURRENT OF c"],
    ["DECLARE c CURSOR FOR SELECT count(*) FROM orders", "FETCH c", "DELETE FROM orders WHERE CURRENT OF c"],
    ["DECLARE c CURSOR FOR SELECT * FROM users", "FETCH c", "DELETE FROM orders WHERE CURRENT OF c"],
    ["DELETE FROM orders WHERE CURRENT OF nosuch"],
]  # fmt: skip


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as running:
        yield running


def played(client: RawClient, statements: list[str]) -> list[Seen]:
    with client:
        client.simple("BEGIN")
        seen = [one for sql in statements for one in observe(client.simple(sql), ordered=False)]
        client.simple("ROLLBACK")
    return seen


@pytest.mark.parametrize("statements", PLAYS, ids=range(len(PLAYS)))
def test_positioned_changes_answer_as_in_a_private_database(
    shared_server: Cluster, proxy: Proxy, statements: list[str]
) -> None:
    before = foreign_checksums(shared_server, "shared", 1)
    seen = played(proxy.connect("acme_app"), statements)
    assert seen == played(RawClient("127.0.0.1", shared_server.port, "app", "private1"), statements)
    assert foreign_checksums(shared_server, "shared", 1) == before


def test_a_cursor_behind_a_boundary_is_not_updated_through(proxy: Proxy) -> None:
    loud = (
        "DECLARE c CURSOR FOR SELECT * FROM (SELECT * FROM orders) s WHERE pg_size_bytes(s.id || 'kB') > 0 FOR UPDATE"
    )
    with proxy.connect("acme_app") as client:
        client.simple("BEGIN")
        assert client.simple(loud).errors == []
        client.simple("FETCH c")
        assert [one["C"] for one in client.simple("UPDATE orders SET qty = 1 WHERE CURRENT OF c").errors] == ["0A000"]
