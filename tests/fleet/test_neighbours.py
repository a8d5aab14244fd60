"""Tenants with schemas in one database: opened when they come, watched over one connection, forgotten when idle."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from proxy.catalog.connect import connect
from proxy.catalog.facts import Kind, role_facts
from proxy.catalog.parts import PartWatch
from proxy.errors import CannotConnectNow
from proxy.fleet import neighbours as module
from proxy.fleet.database import Database
from proxy.fleet.neighbours import Neighbours, key_of, place_of
from proxy.fleet.planning import PlannerProcesses
from proxy.sql.cache import PlanCache
from proxy.sql.plan import Forward, Owner, PlanContext, Planned
from proxy.sql.planner import Planner
from proxy.tenancy.policy import Credentials, Grant, Limits, Server
from tests.kit.postgres import Cluster
from tests.kit.schemas import load_schemas, schema_policy

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

COUNT = b"SELECT count(*) FROM orders"
WATCHING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'partywall catalog' AND datname = 'beside'"


def granted(cluster: Cluster, tenant: str, role: str = "") -> Grant:
    server = Server("127.0.0.1", cluster.port, "beside", role or f"{tenant}_rw")
    return Grant(tenant, "shared", server, Credentials(tls="disable"), schema_policy(tenant), {}, Limits())


class Street:
    """Neighbours, and what they reported."""

    def __init__(self, cluster: Cluster, processes: PlannerProcesses) -> None:
        load_schemas(cluster)
        self.cluster = cluster
        self.told: list[str] = []
        self.grants = {name: granted(cluster, name) for name in ("acme", "globex", "initech")}
        self.all = Neighbours(self.grants["acme"], 1 << 20, 3600.0, processes, self.told.extend)

    async def start(self) -> None:
        await self.all.start(self.grants.values())

    async def open(self, tenant: str) -> Database:
        await self.all.wait_open(self.grants[tenant])
        return self.all.of(self.grants[tenant])

    @property
    def watching(self) -> int:
        return int(self.cluster.psql("postgres", WATCHING).strip() or 0)


@pytest.fixture
async def street(postgres15: Cluster) -> AsyncIterator[Street]:
    processes = PlannerProcesses(1, 30)
    made = Street(postgres15, processes)
    await made.start()
    yield made
    await made.all.close()
    await processes.close()


def context_of(grant: Grant, database: Database) -> PlanContext:
    policy = grant.policy
    owner = Owner(grant.tenant, None)
    return PlanContext(policy, database.catalog.version, policy.path, grant.server.role, owner=owner)


def sent(database: Database, grant: Grant, text: bytes = COUNT) -> bytes:
    context = context_of(grant, database)
    return pieces(database.lookup(text, context) or database.plan(text, context))


def pieces(planned: Planned) -> bytes:
    (plan,) = planned.plans
    assert isinstance(plan, Forward)
    return b"?".join(plan.template.pieces)


async def test_a_tenant_is_closed_until_somebody_waits_for_it(street: Street) -> None:
    assert street.told == []
    with pytest.raises(CannotConnectNow):
        street.all.of(street.grants["acme"])
    opened = await asyncio.gather(*(street.open("acme") for _ in range(5)))
    assert len({id(one) for one in opened}) == 1
    with pytest.raises(CannotConnectNow):
        street.all.of(street.grants["globex"])


async def test_of_many_that_come_at_once_the_roles_are_asked_about_together(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    async def noted(connection: CatalogConnection, roles: Mapping[str, str], kind: Kind, shared: Sequence[str]) -> Any:
        asked.append(sorted(roles))
        return await role_facts(connection, roles, kind, shared)

    monkeypatch.setattr(module, "role_facts", noted)
    wrong = granted(street.cluster, "acme", "globex_rw")  # the role of another, for two schemas
    opened = await asyncio.gather(*(street.open(one) for one in street.grants), street.all.wait_open(wrong),
                                  return_exceptions=True)  # fmt: skip
    assert [type(one).__name__ for one in opened] == ["Database"] * 3 + ["CannotConnectNow"]
    assert len(asked) < 4
    assert street.all._asking == {}
    assert street.all._answers == {}


async def test_who_locks_what_is_its_own_keeps_no_neighbour_from_opening(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    async def noted(connection: CatalogConnection, roles: Mapping[str, str], kind: Kind, shared: Sequence[str]) -> Any:
        asked.append(sorted(roles))
        return await role_facts(connection, roles, kind, shared)

    monkeypatch.setattr(module, "role_facts", noted)
    connection = street.all._watch._connection
    street.cluster.psql("beside", "SET ROLE globex_rw; CREATE VIEW globex.locked AS SELECT 1 AS one")
    locking = await connect(Server("127.0.0.1", street.cluster.port, "beside", "globex_rw"), Credentials(tls="disable"))
    try:
        async with locking.transaction():
            await locking.execute("LOCK TABLE globex.locked IN ACCESS EXCLUSIVE MODE")
            names = ("acme", "initech", "globex")
            opened = await asyncio.gather(*(street.open(one) for one in names), return_exceptions=True)
            assert [type(one).__name__ for one in opened] == ["Database", "Database", "CannotConnectNow"]
            assert asked == [["acme_rw"], ["globex_rw", "initech_rw"], ["initech_rw"], ["globex_rw"]]
            assert ["tenant globex: " in one for one in street.told] == [True]
            assert street.all._watch._connection is connection  # and nothing that it is told is lost
        street.all._failed.clear()  # a second later
        assert ("globex", "locked") in (await street.open("globex")).catalog.relations
    finally:
        await locking.close()
        street.cluster.psql("beside", "DROP VIEW globex.locked")


async def test_only_schemas_that_changed_are_read_again(street: Street) -> None:
    parts = {name: cast("PartWatch", (await street.open(name)).watch) for name in street.grants}
    await street.all.round()
    read = {name: part.statistics().introspections for name, part in parts.items()}
    street.cluster.psql("beside", "CREATE TABLE globex.fresh (id int)")
    try:
        for part in parts.values():
            part._last = float("-inf")
        await street.all.round()
        again = {name: part.statistics().introspections for name, part in parts.items()}
        assert again == {**read, "globex": read["globex"] + 1}
    finally:
        street.cluster.psql("beside", "DROP TABLE globex.fresh")


async def test_who_waits_for_a_tenant_whose_place_is_closed_meanwhile_is_refused(street: Street) -> None:
    async with street.all._turn:  # nobody is looked at yet
        waiting = [asyncio.create_task(street.all.wait_open(street.grants["acme"])) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await street.all.close()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in answers] == [asyncio.CancelledError, CannotConnectNow, CannotConnectNow]
    assert street.told == []


async def test_all_are_watched_over_one_connection(street: Street) -> None:
    for tenant in street.grants:
        database = await street.open(tenant)
        assert (tenant, "orders") in database.catalog.relations
    assert street.watching == 1
    assert street.all.statistics().tenants == 3


async def test_each_plans_for_its_own_schema_from_one_cache(street: Street) -> None:
    for _ in range(2):
        for tenant, grant in street.grants.items():
            database = await street.open(tenant)
            assert f"{tenant}.orders".encode() in sent(database, grant)
    statistics = street.all.statistics().plans
    assert (statistics.hits_l1 + statistics.hits_l2, statistics.misses) == (3, 3)


async def test_with_keys_that_do_not_begin_with_the_tenant_one_would_find_anothers_plan(street: Street) -> None:
    """The number that a planner's keys begin with is its own alone; here it is taken away."""

    class Careless(PlanCache):
        def number(self) -> int:
            return 0

    for cache, right in ((PlanCache(1 << 20), True), (Careless(1 << 20), False)):
        texts = []
        for tenant, grant in list(street.grants.items())[:2]:
            database = await street.open(tenant)
            database.planner = Planner(database.catalog, cache)
            texts.append(f"{tenant}.orders".encode() in sent(database, grant))
        assert texts == [True, right]


async def test_who_is_idle_is_forgotten_with_its_plans_and_comes_back(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme, globex = await street.open("acme"), await street.open("globex")
    for tenant, database in (("acme", acme), ("globex", globex)):
        sent(database, street.grants[tenant])
    version = acme.catalog.version
    monkeypatch.setattr(module, "IDLE", -1.0)
    del acme, database  # globex's session stays
    await street.all.round()
    gc.collect()
    await street.all.round()
    with pytest.raises(CannotConnectNow):
        street.all.of(street.grants["acme"])
    assert street.all.of(street.grants["globex"]) is globex
    assert street.all.statistics().tenants == 1
    again = await street.open("acme")
    assert again.catalog.version > version
    assert b"acme.orders" in sent(again, street.grants["acme"])


async def test_neighbours_that_are_opened_again_are_planned_for_in_their_new_pictures(street: Street) -> None:
    """A planner process has seen one by the same name, and nobody tells it that this is another."""
    grant, text = street.grants["globex"], b"SELECT * FROM fresh"
    database = await street.open("globex")
    assert pieces(await database.wait_plan(text, context_of(grant, database))) == text  # there is none yet
    street.cluster.psql("beside", "CREATE TABLE globex.fresh (id int)")
    again = Neighbours(grant, 1 << 20, 3600.0, database.processes, street.told.extend)
    try:
        await again.start([grant])
        await again.wait_open(grant)
        reopened = again.of(grant)
        assert b"globex.fresh" in pieces(await reopened.wait_plan(text, context_of(grant, reopened)))
        assert reopened.catalog.version > database.catalog.version
    finally:
        await again.close()
        street.cluster.psql("beside", "DROP TABLE globex.fresh")


async def test_a_role_that_is_not_fit_opens_nothing_and_is_reported_once_a_second(street: Street) -> None:
    street.grants["acme"] = granted(street.cluster, "acme", "globex_rw")  # it reaches another's schema
    await street.all.follow(street.grants.values())
    for _ in range(3):
        with pytest.raises(CannotConnectNow):
            await street.open("acme")
    assert any('globex_rw" owns routine globex.' in one for one in street.told)
    assert all(one.startswith("database shared, tenant acme: ") for one in street.told)
    assert (await street.open("initech")).catalog.database == "beside"
    street.all._failed.clear()  # a second later
    told = len(street.told)
    with pytest.raises(CannotConnectNow):
        await street.open("acme")
    assert len(street.told) > told


async def test_the_login_that_watches_may_be_anybodys_and_is_replaced(street: Street) -> None:
    await street.open("globex")
    lender = street.all._lender
    assert lender is not None
    others = {name: one for name, one in street.grants.items() if one.tenant != lender.tenant}
    await street.all.follow(others.values())
    street.grants = others
    opened = await street.open("initech")
    assert street.all._lender is not None
    assert street.all._lender.tenant in others
    assert ("initech", "orders") in opened.catalog.relations
    assert street.watching == 1


async def test_a_database_whose_first_logins_are_wrong_is_watched_by_the_next(
    postgres15: Cluster, street: Street
) -> None:
    grants = [granted(postgres15, "nobody", "no_such_role"), granted(postgres15, "acme")]
    processes = PlannerProcesses(1, 30)
    told: list[str] = []
    made = Neighbours(grants[0], 1 << 20, 3600.0, processes, told.extend)
    try:
        await made.start(grants)
        assert told == []
        await made.wait_open(grants[1])
        with pytest.raises(CannotConnectNow):
            await made.wait_open(grants[0])
        assert told[0].startswith("database shared, tenant nobody: ")
    finally:
        await made.close()
        await processes.close()


async def test_a_tenant_in_use_that_gets_another_login_is_opened_anew_before_it_is_asked_for(street: Street) -> None:
    opened = await street.open("acme")
    again = replace(street.grants["acme"], credentials=Credentials(tls="disable", minor_version=0))
    await street.all.follow([again, street.grants["globex"]])
    assert street.all.of(again) is not opened
    with pytest.raises(CannotConnectNow):
        street.all.of(street.grants["globex"])


def test_who_are_neighbours_and_whose_picture_is_whose() -> None:
    server = Server("a", 1, "d", "acme_rw")
    acme = Grant("acme", "shared", server, Credentials(), schema_policy("acme"), {}, Limits())
    globex = replace(acme, tenant="globex", server=replace(server, role="globex_rw"), policy=schema_policy("globex"))
    assert place_of(acme) == place_of(globex)
    assert place_of(acme) != place_of(replace(acme, policy=replace(acme.policy, shared_schemas=())))
    assert place_of(acme) != place_of(replace(acme, server=replace(server, database="e")))
    assert key_of(acme) != key_of(globex)
    assert key_of(acme) != key_of(replace(acme, policy=schema_policy("globex")))


async def test_a_migration_that_says_so_within_a_second_of_the_last_look_is_noticed_in_a_tenants_schema(
    street: Street,
) -> None:
    database = await street.open("initech")
    version = database.catalog.version
    street.cluster.psql("beside", "CREATE TABLE initech.fresh (id int)")
    try:
        street.cluster.psql("beside", "NOTIFY partywall_catalog")
        async with asyncio.timeout(20):
            while database.catalog.version == version:  # noqa: ASYNC110 - what a server tells is waited for
                await asyncio.sleep(0.02)
        assert ("initech", "fresh") in database.catalog.relations
    finally:
        street.cluster.psql("beside", "DROP TABLE initech.fresh")
