"""Databases follow the rules: opened whole or not at all, closed when nothing names them, planned once for many."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from proxy.doctor.report import refusing
from proxy.errors import CannotConnectNow, ConfigurationError
from proxy.fleet.databases import Databases, _place_of
from proxy.fleet.planning import PlannerProcesses
from proxy.sql.plan import PlanContext
from proxy.tenancy.policy import Grant, Server
from tests.kit.builders import grant
from tests.kit.owned import ROLES, owned
from tests.kit.postgres import Cluster
from tests.sql.worlds import sample_policy


@pytest.fixture
async def processes() -> AsyncIterator[PlannerProcesses]:
    made = PlannerProcesses(1, timeout=30)
    yield made
    await made.close()


@pytest.fixture
async def databases(processes: PlannerProcesses) -> AsyncIterator[Databases]:
    made = Databases(1 << 20, 3600.0, processes)
    yield made
    await made.close()


def grant_at(port: int, database: str = "shared", role: str = "app") -> Grant:
    """The sample's grant, as the tests' rule book gives it."""
    made = grant(port)
    return replace(made, server=Server("127.0.0.1", port, database, role), policy=sample_policy())


async def test_what_no_rule_names_is_not_open(databases: Databases, sample_port: int) -> None:
    with pytest.raises(CannotConnectNow):
        databases.of(grant_at(sample_port))
    await databases.reconcile([grant_at(sample_port)])
    assert databases.of(grant_at(sample_port)).catalog.database == "shared"
    await databases.reconcile([])
    with pytest.raises(CannotConnectNow):
        databases.of(grant_at(sample_port))


async def test_two_grants_to_one_database_share_its_catalog_and_two_roles_do_not(
    databases: Databases, sample_port: int
) -> None:
    one, same = grant_at(sample_port), replace(grant_at(sample_port), tenant="globex")
    other = grant_at(sample_port, role="app_owner")
    try:
        await databases.reconcile([one, same, other])
    except ConfigurationError:  # the owner of the tables is not a role to serve tenants with
        await databases.reconcile([one, same])
        assert list(databases.statistics()) == [databases.of(one).name]
    assert databases.of(one) is databases.of(same)


async def test_a_database_that_cannot_be_opened_changes_nothing_and_is_named(
    databases: Databases, sample_port: int
) -> None:
    await databases.reconcile([grant_at(sample_port)])
    before = databases.of(grant_at(sample_port))
    with pytest.raises(ConfigurationError) as refused:
        await databases.reconcile([grant_at(sample_port, "nowhere")])
    assert any("nowhere" in problem for problem in refused.value.problems)
    assert databases.of(grant_at(sample_port)) is before
    with pytest.raises(CannotConnectNow):
        databases.of(grant_at(sample_port, "nowhere"))


async def test_a_long_text_that_many_send_at_once_is_planned_once(
    databases: Databases, processes: PlannerProcesses, sample_port: int
) -> None:
    await databases.reconcile([grant_at(sample_port)])
    database = databases.of(grant_at(sample_port))
    context = PlanContext(sample_policy(), database.catalog.version, role="app")
    text = b"SELECT id FROM orders WHERE id IN (" + b",".join(b"%d" % one for one in range(500)) + b")"
    every = await asyncio.gather(*(database.wait_plan(text, context) for _ in range(6)))
    assert processes.planned == 1
    assert all(one.plans == every[0].plans for one in every)
    assert database.lookup(text, context) is not None


async def test_of_those_who_wait_for_one_plan_the_first_pays(databases: Databases, sample_port: int) -> None:
    await databases.reconcile([grant_at(sample_port)])
    database = databases.of(grant_at(sample_port))
    context = PlanContext(sample_policy(), database.catalog.version, role="app")
    spent: list[list[float]] = [[], [], []]
    text = b"SELECT id FROM orders WHERE id IN (" + b",".join(b"%d" % one for one in range(500)) + b")"
    await asyncio.gather(*(database.wait_plan(text, context, spent=one.append) for one in spent))
    assert [len(one) for one in spent] == [1, 1, 1]
    assert spent[0][0] > 0.0
    assert spent[1:] == [[0.0], [0.0]]


async def test_another_context_never_joins_the_flight(
    databases: Databases, processes: PlannerProcesses, sample_port: int
) -> None:
    await databases.reconcile([grant_at(sample_port)])
    database = databases.of(grant_at(sample_port))
    context = PlanContext(sample_policy(), database.catalog.version, role="app")
    elsewhere = replace(context, search_path=("pg_catalog",))
    text = b"SELECT count(*) FROM orders"
    mine, other, typed = await asyncio.gather(
        database.wait_plan(text, context),
        database.wait_plan(text, elsewhere),
        database.wait_plan(text, context, (23,), True),
    )
    assert processes.planned == 3
    assert mine.rejection is None
    assert other.rejection is not None
    assert typed.plans is not mine.plans


async def test_nobody_joins_the_flight_of_who_plans_too_much(
    databases: Databases, processes: PlannerProcesses, sample_port: int
) -> None:
    await databases.reconcile([grant_at(sample_port)])
    database = databases.of(grant_at(sample_port))
    context = PlanContext(sample_policy(), database.catalog.version, role="app")
    await asyncio.gather(*(database.wait_plan(b"SELECT 42", context, low=low) for low in (True, False, True)))
    assert processes.planned == 2


async def test_one_waiter_that_leaves_does_not_take_the_plan_from_the_others(
    databases: Databases, sample_port: int
) -> None:
    await databases.reconcile([grant_at(sample_port)])
    database = databases.of(grant_at(sample_port))
    context = PlanContext(sample_policy(), database.catalog.version, role="app")
    leaving, staying = (asyncio.ensure_future(database.wait_plan(b"SELECT 42", context)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).rejection is None
    assert leaving.cancelled()
    assert database.flights == {}


async def test_a_database_that_is_opened_again_is_planned_for_in_its_new_picture(
    databases: Databases, shared_server: Cluster, pristine_shared: str
) -> None:
    """A planner process has seen one by the same name, and nobody tells it that this is another."""
    asked = grant_at(shared_server.port, pristine_shared)
    refused, versions = [], []
    for _ in range(2):
        await databases.reconcile([asked])
        database = databases.of(asked)
        versions.append(database.catalog.version)
        planned = await database.wait_plan(b"SELECT * FROM notes", PlanContext(asked.policy, versions[-1], role="app"))
        refused.append(planned.rejection is not None)
        await databases.reconcile([])
        shared_server.psql(pristine_shared, "DROP TABLE IF EXISTS notes CASCADE")
    assert refused == [False, True]
    assert versions[0] < versions[1]


async def test_a_tenants_own_database_that_cannot_be_opened_keeps_nobody_else_out(
    processes: PlannerProcesses, sample_port: int
) -> None:
    told: asyncio.Queue[list[str]] = asyncio.Queue()
    databases = Databases(1 << 20, 3600.0, processes, told.put_nowait)
    shared = grant_at(sample_port)
    own = replace(grant_at(sample_port, "nowhere"), policy=replace(sample_policy(), isolation="database"))
    try:
        await databases.reconcile([shared, own])
        assert databases.of(shared).catalog.database == "shared"
        assert told.get_nowait()[0].startswith("database test: ")
        with pytest.raises(CannotConnectNow):
            databases.of(own)
        assert (await told.get())[0].startswith("database test: ")  # that somebody asked is reason to try again
    finally:
        await databases.close()


async def test_a_server_that_only_tenants_name_is_their_trouble_and_one_that_others_need_is_everybodys(
    processes: PlannerProcesses, sample_port: int
) -> None:
    databases = Databases(1 << 20, 3600.0, processes)
    shared, routed = grant_at(sample_port), replace(grant_at(sample_port, "nowhere"), routed=True)
    try:
        await databases.reconcile([shared, routed])
        with pytest.raises(CannotConnectNow):
            databases.of(routed)
        with pytest.raises(ConfigurationError):
            await databases.reconcile([shared, routed, grant_at(sample_port, "nowhere")])
    finally:
        await databases.close()


async def test_a_tenants_own_database_is_open_once_it_can_be(processes: PlannerProcesses, sample_port: int) -> None:
    databases = Databases(1 << 20, 3600.0, processes)
    own = replace(grant_at(sample_port, "postgres"), policy=replace(sample_policy(), isolation="database"))
    unreachable = replace(own, server=Server("127.0.0.1", 1, "postgres", "app"))
    try:
        await databases.reconcile([unreachable])
        databases._closed = {_place_of(unreachable): own}  # as if the server had come back
        with pytest.raises(CannotConnectNow):
            databases.of(unreachable)
        assert databases._opening is not None
        await databases._opening
        assert databases.of(unreachable).catalog.database == "postgres"
    finally:
        await databases.close()


async def test_a_shared_database_is_opened_only_without_unaccepted_findings(
    processes: PlannerProcesses, sample_port: int
) -> None:
    databases = Databases(1 << 20, 3600.0, processes, judge=refusing)
    found = grant_at(sample_port)
    try:
        with pytest.raises(ConfigurationError) as caught:
            await databases.reconcile([found])
        names = ["keys.accounts", "keys.audit_log", "keys.bookings", "keys.coupons", "fk.transfers"]
        told = [
            re.search(r"Remedy, or else accept (\S+): ALTER |accept (\S+): CREATE ", one)
            for one in caught.value.problems
        ]
        assert [one and (one[1] or one[2]) for one in told] == names
        with pytest.raises(CannotConnectNow):
            databases.of(found)
        accepting = replace(found, accept=tuple(names))
        await databases.reconcile([accepting])
        assert databases.of(accepting).catalog.database == "shared"
    finally:
        await databases.close()


async def test_what_was_checked_for_one_mode_is_not_open_for_another(
    databases: Databases, processes: PlannerProcesses, shared_server: Cluster
) -> None:
    """A role may own what is in a database of its tenant's alone; among others' rows it must not."""
    with owned(shared_server, 1) as database:
        own = grant_at(shared_server.port, database, ROLES[1])
        own = replace(own, policy=replace(own.policy, isolation="database"))
        row = replace(own, policy=sample_policy())
        assert own.server == row.server
        await databases.reconcile([own])
        assert not databases.is_open(row)
        with pytest.raises(ConfigurationError, match="owns"):
            await databases.reconcile([row])
        assert databases.is_open(own)
        with pytest.raises(ConfigurationError, match="owns"):  # as a draft is read, in which it is to be so
            await databases.reconcile([own, row])
        assert [one.policy.isolation for one in await databases.unopened([own], [own, row])] == ["row"]
        await databases.reconcile([])


async def test_what_the_old_rules_name_is_open_until_the_new_ones_are_in_force(
    databases: Databases, sample_port: int
) -> None:
    before, after = grant_at(sample_port), grant_at(sample_port, "private1")
    await databases.reconcile([before])
    open_: list[bool] = []

    async def then() -> None:
        open_.extend((databases.is_open(before), databases.is_open(after)))

    await databases.reconcile([after], then)
    assert open_ == [True, True]
    assert not databases.is_open(before)
