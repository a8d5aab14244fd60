"""LOCK TABLE becomes what keeps nobody else waiting, and says what PostgreSQL says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.sql.plan import Forward, PlanContext, Reject
from proxy.sql.planner import Planner
from proxy.sql.render import fill
from proxy.sql.world import World
from tests.kit.rawclient import RawClient
from tests.sql.worlds import keys_of

WEAK = ("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE")
STRONG = ("SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE")


def plan(world: World, sql: str, read_only: bool = False) -> Forward | Reject:
    context = PlanContext(replace(world.policy, read_only=read_only, policy_class=str(read_only)), 1, role="app")
    (found,) = Planner(world.catalog, 0).plan(sql.encode(), context).plans
    assert isinstance(found, Forward | Reject)
    return found


def sent(world: World, sql: str, tenant: int = 1) -> str:
    found = plan(world, sql)
    assert isinstance(found, Forward), found
    assert (found.tag, found.effects.block) == ("LOCK TABLE", "LOCK TABLE")
    return fill(found.template, keys_of(tenant), ()).decode()


@pytest.fixture
def client(sample_port: int) -> RawClient:
    return RawClient("127.0.0.1", sample_port, "app", "shared")


def held(client: RawClient, sql: str) -> list[tuple[bytes | None, ...]]:
    """What a transaction that runs a text has in pg_locks: kind, relation or number, mode."""
    client.simple("BEGIN")
    assert client.simple(sql).errors == []
    which = "CASE locktype WHEN 'relation' THEN relation::regclass::text ELSE classid || ' ' || objid END"
    rows = client.simple(
        f"SELECT locktype, {which}, mode FROM pg_locks"
        " WHERE pid = pg_backend_pid() AND (locktype = 'advisory' OR relation >= 16384) ORDER BY 1, 2"
    ).rows
    client.simple("ROLLBACK")
    return rows


@pytest.mark.parametrize("mode", WEAK)
def test_a_weak_mode_takes_what_every_reader_takes(world: World, client: RawClient, mode: str) -> None:
    with client:
        for text in (f"LOCK TABLE orders IN {mode} MODE", f"LOCK shared.public.orders IN {mode} MODE NOWAIT"):
            assert held(client, sent(world, text)) == [(b"relation", b"orders", b"AccessShareLock")]


@pytest.mark.parametrize("mode", STRONG)
def test_a_strong_mode_locks_no_relation_but_a_number_of_the_tenants(
    world: World, client: RawClient, mode: str
) -> None:
    with client:
        ((kind, number, taken),) = held(client, sent(world, f"LOCK TABLE orders IN {mode} MODE"))
        assert (kind, taken) == (b"advisory", b"ShareLock" if mode == "SHARE" else b"ExclusiveLock")
        assert held(client, sent(world, f"LOCK orders IN {mode} MODE NOWAIT")) == [(kind, number, taken)]
        assert held(client, sent(world, f"LOCK customers IN {mode} MODE"))[0][1] != number
        assert held(client, sent(world, f"LOCK orders IN {mode} MODE", 2))[0][1] != number


def test_a_lock_of_a_parent_meets_that_of_its_child(world: World, client: RawClient) -> None:
    child = next(one for one in world.catalog.relations.values() if one.parents and world.relation(None, one.name))
    parent = world.catalog.relations_by_oid[child.parents[0]]
    with client:
        below = held(client, sent(world, f'LOCK "{child.name}"'))
        every = held(client, sent(world, f'LOCK "{parent.name}"'))
        assert set(below) < set(every)
        if parent.kind == "r":
            assert not set(below) & set(held(client, sent(world, f'LOCK ONLY "{parent.name}"')))


def test_what_cannot_be_had_at_once_fails_by_name(world: World, client: RawClient, sample_port: int) -> None:
    with client, RawClient("127.0.0.1", sample_port, "app", "shared") as other:
        client.simple("BEGIN")
        client.simple(sent(world, "LOCK orders IN SHARE MODE"))
        other.simple("BEGIN")
        assert other.simple(sent(world, "LOCK customers, orders IN SHARE MODE NOWAIT")).errors == []
        (problem,) = other.simple(sent(world, "LOCK customers, orders NOWAIT")).errors
        assert problem["M"] == 'invalid input syntax for type integer: "could not obtain lock on relation "orders""'


@pytest.mark.parametrize(
    "text",
    ["LOCK nothing", "LOCK public.nothing IN SHARE MODE", "LOCK orders, nothing", "LOCK nothing.orders",
     "LOCK mv_order_stats", "LOCK products", "LOCK products IN ROW EXCLUSIVE MODE", "LOCK products IN ROW SHARE MODE"],
)  # fmt: skip
def test_names_and_privileges_are_answered_as_postgresql_answers(world: World, client: RawClient, text: str) -> None:
    found = plan(world, text)
    assert isinstance(found, Reject)
    with client:
        client.simple("BEGIN")
        (plain,) = client.simple(text).errors
    told = (plain["C"], plain["M"], plain.get("D"), plain.get("H"), plain.get("P"))
    assert (found.sqlstate, found.message, found.detail, found.hint, found.position) == told


def test_a_hidden_relation_is_absent_and_a_catalog_is_not_ones_own(world: World) -> None:
    for text, code in {"LOCK order_secrets": "42P01", "LOCK pg_class": "42501", "LOCK open_orders": "0A000"}.items():
        found = plan(world, text)
        assert isinstance(found, Reject)
        assert found.sqlstate == code


def test_a_reader_takes_weak_locks_only(world: World) -> None:
    assert isinstance(plan(world, "LOCK orders IN ROW EXCLUSIVE MODE", read_only=True), Forward)
    found = plan(world, "LOCK orders IN SHARE MODE", read_only=True)
    assert isinstance(found, Reject)
    assert (found.sqlstate, found.message) == ("25006", "cannot execute LOCK TABLE in a read-only transaction")
