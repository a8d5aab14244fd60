"""Storages follow the rules: where any tenant is limited all are counted, and a count that fails changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

import pytest

from proxy.catalog.model import Catalog
from proxy.catalog.storage import schemas_of
from proxy.errors import CannotConnectNow
from proxy.fleet.storage import Storages, relations_of, spelt
from proxy.sql.world import World
from proxy.tenancy.policy import Credentials, Grant, Limits, Server
from tests.sql.worlds import sample_policy

Made = Callable[..., Storages]


@pytest.fixture
async def made(world: World) -> AsyncIterator[Made]:
    every: list[Storages] = []

    def make(reported: list[str] | None = None, catalog: Catalog = world.catalog) -> Storages:
        told = [] if reported is None else reported
        every.append(Storages(3600.0, lambda grant: catalog, lambda database, why: told.append(f"{database}: {why}")))
        return every[-1]

    yield make
    for one in every:
        await one.close()


def granted(tenant: str, number: int, port: int, limit: int | None = None, warn: bool = False) -> Grant:
    keys = {"default": str(number), "slug": tenant, "uid": f"00000000-0000-4000-8000-{number:012}", "$seed": "x"}
    limits = Limits(storage=limit, warn=frozenset({"storage"} if warn else ()))
    server = Server("127.0.0.1", port, "shared", "app")
    return Grant(tenant, "shop", server, Credentials(tls="disable"), sample_policy(), keys, limits)


async def test_all_tenants_of_a_database_are_counted_where_one_is_limited(made: Made, sample_port: int) -> None:
    storages = made()
    acme, globex = granted("acme", 1, sample_port, 1000), granted("globex", 2, sample_port)
    storages.follow([globex, acme])
    await storages.count()
    used = storages.statistics().used
    assert used["acme"] > 1000
    assert used["globex"] > 1000
    assert used["acme"] != used["globex"]
    assert storages.of(acme).full
    assert not storages.of(globex).full
    assert storages.of(replace(acme, limits=Limits(storage=1 << 30))) is storages.of(acme)


def nothing(grant: Grant) -> Catalog:
    raise CannotConnectNow("it need not be looked at")


async def test_of_several_workers_one_counts_and_the_others_ask_it(made: Made, sample_port: int) -> None:
    acme = granted("acme", 1, sample_port, 1000)
    answers: list[dict[str, int] | OSError | None] = [None, OSError("away"), {"acme": 5000}, {}]
    told: list[str] = []

    async def ask() -> dict[str, int] | None:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    storages = Storages(3600.0, nothing, lambda _, why: told.append(why), ask)
    storages._places = {(acme.server, acme.credentials): [acme]}
    assert not await storages.count()  # nothing was counted yet
    assert not await storages.count()
    assert told == ["away"]
    full = []
    for _ in range(2):
        full.append(storages.of(acme).full)
        assert await storages.count()
    assert [*full, storages.of(acme).full] == [False, True, False]


async def test_who_counts_says_so_once_everything_was_counted(made: Made, sample_port: int) -> None:
    storages = made()
    counted = [storages.counted]
    storages.follow([granted("acme", 1, sample_port, 1000)])
    assert await storages.count()
    assert [*counted, storages.counted] == [False, True]
    storages.forget("acme")
    assert storages.statistics().used == {}


async def test_where_nobody_is_limited_nothing_is_counted(made: Made, sample_port: int) -> None:
    storages = made()
    storages.follow([granted("acme", 1, sample_port)])
    await storages.count()
    assert (storages.statistics().used, storages.statistics().counts) == ({}, 0)


async def test_other_rules_hold_from_the_reload_on(made: Made, sample_port: int) -> None:
    storages = made()
    acme = granted("acme", 1, sample_port, 1000)
    storages.follow([acme])
    await storages.count()
    storage = storages.of(acme)
    assert storage.full
    assert storages.of(granted("acme", 1, sample_port, 1000, warn=True)) is storage
    assert storage.warns
    storages.follow([granted("acme", 1, sample_port)])
    assert not storages.of(granted("acme", 1, sample_port)).full
    assert storages.statistics().used == {}


async def test_a_server_that_does_not_answer_is_told_and_the_last_count_stands(made: Made, sample_port: int) -> None:
    told: list[str] = []
    storages = made(told)
    acme = granted("acme", 1, sample_port, 1000)
    storages.follow([acme])
    await storages.count()
    counted = storages.of(acme).used
    away = replace(acme, server=replace(acme.server, port=1))
    storages.follow([acme, away])
    await storages.count()
    assert storages.statistics().failures >= 1
    assert told[0].startswith("shop: ")
    assert storages.of(acme).used == counted


async def test_the_first_count_comes_by_itself(made: Made, sample_port: int) -> None:
    storages = made()
    storages.follow([granted("acme", 1, sample_port, 1000)])
    async with asyncio.timeout(30):
        while not storages.statistics().used.get("acme"):  # noqa: ASYNC110 no event exists
            await asyncio.sleep(0.01)


async def test_a_database_of_ones_own_is_measured_whole(made: Made, sample_port: int) -> None:
    storages = made()
    grant = granted("acme", 1, sample_port, 1000)
    own = replace(grant, policy=replace(grant.policy, isolation="database"), keys={})
    storages.follow([own])
    await storages.count()
    assert storages.statistics().used["acme"] > 5_000_000


async def test_a_schema_of_ones_own_is_measured_by_its_tables(made: Made, sample_port: int) -> None:
    storages = made()
    grant = granted("acme", 1, sample_port, 1000)
    own = [replace(grant, policy=replace(grant.policy, isolation="schema", schema=name)) for name in ("public", "none")]
    for one, least in zip(own, (100_000, 0), strict=True):
        storages.follow([one])
        await storages.count()
        assert storages.statistics().used["acme"] >= least
    assert storages.statistics().used["acme"] == 0


def test_tenants_relations_are_counted_each_once(world: World) -> None:
    found = {one.relation.name: (one.column, one.key) for one in relations_of(sample_policy(), world.catalog)}
    assert found["orders"] == ("tenant_id", "default")
    assert found["notes"] == ("tenant", "slug")
    assert found["Order Details"] == ("TenantId", "default")
    assert not {"products", "open_orders", "mv_order_stats"} & found.keys()
    assert not any(one.relation.is_partition for one in relations_of(sample_policy(), world.catalog))


@pytest.mark.parametrize(
    ("rule", "server"),
    [
        ("1", "1"), ("007", "7"), ("+5", "5"), ("acme", "acme"), ("Acme ", "Acme "),
        ("00000000-0000-4000-8000-00000000000A", "00000000-0000-4000-8000-00000000000a"),
        ("{0000000000004000800000000000000a}", "00000000-0000-4000-8000-00000000000a"),
    ],
)  # fmt: skip
def test_keys_are_spelt_as_the_server_does(rule: str, server: str) -> None:
    assert spelt(rule) == server


async def test_schemas_of_one_database_are_counted_in_one_go_by_whatever_login_works(
    made: Made, sample_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, list[str]]] = []

    async def noted(server: Server, credentials: Credentials, schemas: list[str]) -> Mapping[str, int]:
        asked.append((server.role, schemas))
        return await schemas_of(server, credentials, schemas)

    monkeypatch.setattr("proxy.fleet.storage.schemas_of", noted)
    storages = made()
    policy = replace(sample_policy(), isolation="schema")
    grants = [
        replace(granted("acme", 1, sample_port, 1000), policy=replace(policy, schema="public")),
        replace(granted("globex", 2, sample_port), policy=replace(policy, schema="nowhere")),
    ]
    grants[0] = replace(grants[0], server=replace(grants[0].server, role="no_such_role"))
    storages.follow(grants)
    await storages.count()
    once = [("app", ["nowhere", "public"]), ("no_such_role", ["nowhere", "public"])]
    assert sorted(asked[:4]) in (once, sorted(once * 2))  # the first count begins by itself
    assert storages.statistics().failures == 0
    assert storages.statistics().used["acme"] > 1000
    assert storages.statistics().used["globex"] == 0
