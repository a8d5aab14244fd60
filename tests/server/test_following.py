"""A session moves to newer rules between transactions; where they serve its tenant by another mode, nothing that was
made for the former is used any more, although server, database and role be the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from proxy.errors import CannotConnectNow
from proxy.server.client import Client
from proxy.server.planned import Question
from proxy.server.services import Options, Planning
from proxy.session.conversation import Waiting
from proxy.session.events import CancelRequested
from proxy.sql.plan import STATEMENT_NAME, Effects, Execution, PlanContext, Planned
from proxy.tenancy.policy import Grant, Policy
from tests.kit.builders import ForwardingPlanner, OneTenant, forward
from tests.kit.rawclient import Exchange, RawClient
from tests.server.conftest import House, until
from tests.session.test_extended import SYNC, bind, execute, parse

Houses = Callable[..., "asyncio.Task[House]"]


@dataclass
class Noting(ForwardingPlanner):
    """Remembers by which policy each text was planned. slow: texts that take until `go`."""

    by: list[tuple[str, str]] = field(default_factory=list)
    slow: frozenset[bytes] = frozenset()
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def lookup(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned | None:
        if text in self.slow:
            return None
        text = text.replace(b'"', b"")
        if text == b"EXECUTE one":
            self.by.append(("EXECUTE one", context.policy.policy_class))
            return Planned((forward(b"EXECUTE " + STATEMENT_NAME, Effects(executes=Execution("one"))),))
        self.by.append((text.decode(), context.policy.policy_class))
        return super().plan(text, context, parameter_types, extended)

    async def elsewhere(self, asked: Question, spent: Callable[[float], None] | None, low: bool) -> Planned:
        await self.go.wait()
        self.by.append((asked.text.decode(), asked.context.policy.policy_class))
        return super().plan(*asked)


def other(policy: Policy) -> Policy:
    return replace(policy, isolation="database", policy_class="database")


def stricter(policy: Policy) -> Policy:
    return replace(policy, policy_class="stricter")


def changed(house: House, port: Client, how: Callable[[Policy], Policy] = other) -> OneTenant:
    """The rules serve the tenant otherwise at the same server from now on: by another mode."""
    granted = replace(house.rules.granted, policy=how(house.rules.granted.policy))
    rules = OneTenant(granted, generation=2)
    port.services = replace(port.services, rules=lambda: rules)
    return rules


async def noting(house: House) -> tuple[RawClient, Client, Noting]:
    """A client whose statements are planned so."""
    planner = Noting()
    house.listener.services = replace(house.listener.services, planning=lambda _: planner)
    client = await house.connect()
    (port,) = house.listener.clients
    return client, port, planner


async def behind(house: House, client: RawClient, port: Client) -> tuple[RawClient, Client, asyncio.Future[Exchange]]:
    """A second client whose "SELECT 7" waits for the only connection, which the first one has in a transaction."""
    second = await house.connect()
    (other,) = (one for one in house.listener.clients if one is not port)
    house.pools.set_ceiling(1)
    await house.ask(client, "BEGIN")
    asked = asyncio.ensure_future(house.ask(second, "SELECT 7"))
    await until(lambda: house.pools.statistics().waiting == 1)
    return second, other, asked


async def test_an_idle_session_goes_on_in_the_new_mode_on_another_connection(house: House) -> None:
    client, port, planner = await noting(house)
    await house.ask(client, "SET work_mem TO '5MB'")
    (before,) = (await house.ask(client, "SELECT pg_backend_pid()")).rows
    changed(house, port)
    (after,) = (await house.ask(client, "SELECT pg_backend_pid()")).rows
    assert before != after
    assert (await house.ask(client, "SHOW work_mem")).rows == [(b"5MB",)]
    assert planner.by[-1] == ("SHOW work_mem", "database")
    client.close()


@pytest.mark.parametrize("text", ["CREATE TEMP TABLE pinned ()", "SELECT pg_advisory_lock(1)", "DO $$BEGIN END$$"])
async def test_a_connection_that_is_the_sessions_own_is_not_taken_along(house: House, text: str) -> None:
    client, port, _ = await noting(house)
    await house.ask(client, text)
    changed(house, port)
    ended = await house.ask(client, "SELECT 1")
    assert ([one["C"] for one in ended.errors], ended.rows) == (["57P01"], [])
    client.close()
    await until(lambda: house.pools.statistics().leased == 0)


async def test_who_listens_is_ended_without_a_word_of_its_own(houses: Houses) -> None:
    house = await houses(options=Options(sweep_interval=0.05))
    client, port, _ = await noting(house)
    await house.ask(client, "LISTEN news")
    changed(house, port)
    told = await asyncio.to_thread(client.collect, "")
    assert [one["C"] for one in told.errors] == ["57P01"]
    client.close()
    await until(lambda: house.pools.statistics().leased == 0)


async def test_a_setting_that_the_new_mode_refuses_ends_the_session_before_anything_is_sent(house: House) -> None:
    client, port, planner = await noting(house)
    assert (await house.ask(client, "SET forbidden TO '1'")).errors != []  # the server knows no such setting
    port.session.settings.current = {"forbidden": "'1'"}
    changed(house, port)
    ended = await house.ask(client, "SELECT 1")
    assert [one["C"] for one in ended.errors] == ["57P01"]
    assert ("SELECT 1", "database") not in planner.by
    client.close()


async def test_who_cannot_go_along_has_left_whoever_asked_it_to(house: House) -> None:
    """A second look at the catalog binds as well: what was prepared and set at the former place is of no use then."""
    client, port, _ = await noting(house)
    await house.ask(client, "SELECT 1")
    port.session.settings.current = {"forbidden": "'1'"}
    changed(house, port)
    assert not port.bind()
    assert port.gone
    ended = await house.ask(client, "SELECT 1")
    assert ([one["C"] for one in ended.errors], ended.rows) == (["57P01"], [])
    client.close()


@pytest.mark.parametrize("how", [other, stricter])
@pytest.mark.parametrize("asked", [b"Q\0\0\0\x10EXECUTE one\0", bind("one") + execute() + SYNC])
async def test_what_was_planned_before_and_waits_for_another_plan_is_planned_anew(
    houses: Houses, asked: bytes, how: Callable[[Policy], Policy]
) -> None:
    """The EXECUTE has its plan, and what it executes has not; when that comes, the session has moved, or goes by other
    rules where it is.
    """
    house = await houses(options=Options(plan_inline_bytes=0))
    client, port, planner = await noting(house)
    await asyncio.to_thread(client.socket.sendall, parse("SELECT 42", "one") + SYNC)
    await asyncio.to_thread(client.collect)
    planner.slow = frozenset({b"SELECT 42"})
    port.session.epoch = object()  # the catalog is another: every statement is planned again
    await asyncio.to_thread(client.socket.sendall, asked)
    await until(lambda: port.session.waiting is Waiting.PLAN)
    policy = changed(house, port, how).granted.policy
    planner.go.set()
    assert (await asyncio.to_thread(client.collect)).rows == [(b"42",)]
    last = dict(planner.by)
    assert set(last.values()) == {policy.policy_class}, last
    client.close()


@pytest.mark.parametrize("bound", [False, True])
async def test_a_statement_that_waits_for_a_connection_leaves_for_the_new_place(house: House, bound: bool) -> None:
    """Also where the session has gone by the new rules already, while it waited at the old place."""
    client, port, planner = await noting(house)
    second, other, asked = await behind(house, client, port)
    changed(house, other)
    assert not bound or other.bind()
    await house.ask(client, "COMMIT")
    assert (await asked).rows == [(b"7",)]
    assert [mode for text, mode in planner.by if text == "SELECT 7"][-1] == "database"
    client.close()
    second.close()


async def test_who_cannot_go_along_is_lent_nothing_of_the_place_where_it_waits(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, port, _ = await noting(house)
    second, other, asked = await behind(house, client, port)
    other.session.settings.current = {"forbidden": "'1'"}
    changed(house, other)
    assert not other.bind()
    taken: list[object] = []
    monkeypatch.setattr(other, "take", taken.append)
    await house.ask(client, "COMMIT")
    ended = await asked
    assert ([one["C"] for one in ended.errors], ended.rows) == (["57P01"], [])
    assert taken == []
    client.close()
    second.close()


async def test_a_place_that_is_not_open_yet_is_opened_while_the_statement_waits(house: House) -> None:
    client, port, planner = await noting(house)
    opened: list[Grant] = []
    rules = changed(house, port)

    def planning(grant: Grant) -> Planning:
        if grant.policy.isolation == "database" and not opened:
            raise CannotConnectNow("the database system is starting up")
        return planner

    async def wait(grant: Grant) -> None:
        await asyncio.sleep(0)
        opened.append(grant)

    port.services = replace(port.services, planning=planning, wait_planning=wait)
    await asyncio.to_thread(client.socket.sendall, parse("SELECT 42", "one") + bind("one") + execute() + SYNC)
    assert (await asyncio.to_thread(client.collect)).rows == [(b"42",)]
    assert opened == [rules.granted]
    assert {mode for text, mode in planner.by if text == "SELECT 42"} == {"database"}
    client.close()


async def test_a_place_that_cannot_be_opened_ends_the_session(house: House) -> None:
    client, port, _ = await noting(house)
    changed(house, port)

    def planning(grant: Grant) -> Planning:
        raise CannotConnectNow("the database system is starting up")

    async def wait(grant: Grant) -> None:
        raise CannotConnectNow("the database system is starting up")

    port.services = replace(port.services, planning=planning, wait_planning=wait)
    assert [one["C"] for one in (await house.ask(client, "SELECT 1")).errors] == ["57P01"]
    client.close()


@pytest.mark.parametrize("opens", [True, False])
async def test_who_no_longer_waits_for_a_place_moves_nobody_when_that_is_known(houses: Houses, opens: bool) -> None:
    """It was canceled, and its session waits for a plan elsewhere by now, which would be used by yet other rules."""
    house = await houses(options=Options(plan_inline_bytes=0))
    client, port, planner = await noting(house)
    planner.slow = frozenset({b"SELECT 2"})
    gates = {"second": asyncio.Event(), "third": asyncio.Event()}

    def planning(grant: Grant) -> Planning:
        gate = gates.get(grant.policy.policy_class)
        if gate is not None and not gate.is_set():
            raise CannotConnectNow("the database system is starting up")
        return planner

    async def wait(grant: Grant) -> None:
        await gates[grant.policy.policy_class].wait()
        if grant.policy.policy_class == "second" and not opens:
            raise CannotConnectNow("the database system is starting up")

    def turn(name: str) -> None:
        changed(house, port, lambda policy: replace(other(policy), policy_class=name))

    port.services = replace(port.services, planning=planning, wait_planning=wait)
    turn("second")
    asked = asyncio.ensure_future(house.ask(client, "SELECT 1"))
    await until(lambda: port.arriving)
    port.handle(CancelRequested())
    assert [one["C"] for one in (await asked).errors] == ["57014"]
    turn("third")
    asked = asyncio.ensure_future(house.ask(client, "SELECT 2"))
    await until(lambda: port.session.waiting is Waiting.PLAN)
    gates["third"].set()
    await until(lambda: not port.arriving)
    turn("fourth")
    gates["second"].set()
    await until(lambda: len(house.listener.tasks) == 1)  # that of the plan
    planner.go.set()
    assert (await asked).rows == [(b"2",)]
    assert [by for text, by in planner.by if text == "SELECT 2"] == ["third", "fourth"]
    client.close()


async def test_a_place_that_cannot_be_opened_is_nothing_to_who_is_served_elsewhere_by_then(house: House) -> None:
    client, port, planner = await noting(house)
    changed(house, port)

    def planning(grant: Grant) -> Planning:
        if grant.policy.policy_class == "database":
            raise CannotConnectNow("the database system is starting up")
        return planner

    async def wait(grant: Grant) -> None:
        changed(house, port, stricter)
        raise CannotConnectNow("the database system is starting up")

    port.services = replace(port.services, planning=planning, wait_planning=wait)
    assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
    client.close()


async def test_who_logs_in_while_the_rules_change_is_held_to_those_in_force(house: House) -> None:
    granted = replace(house.rules.granted, limits=replace(house.rules.granted.limits, statement_timeout=7.0))
    rules, opened = [house.rules], [False]

    def planning(grant: Grant) -> Planning:
        if not opened[0]:
            raise CannotConnectNow("the database system is starting up")
        return house.planner

    async def wait(grant: Grant) -> None:
        opened[0] = True
        rules[0] = OneTenant(granted, generation=2)

    services = house.listener.services
    house.listener.services = replace(services, rules=lambda: rules[0], planning=planning, wait_planning=wait)
    client = await house.connect()
    (port,) = house.listener.clients
    assert port.session.limits.statement_timeout == 7.0
    assert (await house.ask(client, "SHOW statement_timeout")).rows == [(b"7s",)]
    client.close()
