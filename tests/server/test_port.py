"""What a session is answered at once: its login's grant as of the rules in force, and never another tenant's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from proxy.server.services import Options
from proxy.session.actions import FindLogin
from proxy.tenancy.policy import Limits
from tests.kit.builders import OneTenant, grant
from tests.kit.rawclient import Exchange
from tests.server.conftest import House, until
from tests.session.test_extended import SYNC, bind, execute, parse


def _same(rules: OneTenant) -> OneTenant:
    return rules


Houses = Callable[..., "asyncio.Task[House]"]


async def test_an_unknown_login_is_asked_for_a_proof_like_any_other(house: House) -> None:
    client = await house.connect()
    (port,) = house.listener.clients
    known, unknown = (port.find_login(FindLogin(name, "test", "")) for name in ("alice", "mallory"))
    again = port.find_login(FindLogin("mallory", "test", ""))
    assert known.grant is not None
    assert unknown.grant is None
    assert unknown.refusal is None
    assert unknown.verifier.salt == again.verifier.salt
    assert (unknown.verifier.iterations, len(unknown.verifier.stored_key)) == (4096, 32)
    client.close()


async def test_a_database_without_a_grant_is_refused_after_the_proof_only(house: House) -> None:
    client = await house.connect()
    (port,) = house.listener.clients
    found = port.find_login(FindLogin("alice", "other", ""))
    assert found.grant is None
    assert found.refusal is not None
    assert found.refusal.sqlstate == "3D000"
    client.close()


async def test_a_tenants_connections_are_counted_and_limited(houses: Houses) -> None:
    house = await houses(limits=Limits(connections=1))
    client = await house.connect()
    second = await house.connect()
    assert [one["C"] for one in second.greeting.errors] == ["53300"]
    second.close()
    client.close()


async def test_a_logins_connections_are_limited_besides_its_tenants(houses: Houses) -> None:
    house = await houses(limits=Limits(connections=3), users=("alice", "bob"))
    house.rules.limits = Limits(connections=1)
    clients = [await house.connect(), await house.connect("bob")]
    for login in ("alice", "bob"):
        refused = await house.connect(login)
        assert [one["M"] for one in refused.greeting.errors] == [f'too many connections for role "{login}"']
        refused.close()
    for client in clients:
        client.close()


async def test_a_session_is_held_to_its_logins_own_limits_also_after_a_reload(house: House) -> None:
    house.rules.limits = Limits(statement_timeout=7.0)
    client = await house.connect()
    (port,) = house.listener.clients
    assert port.session.limits == replace(Limits(), statement_timeout=7.0)
    rules = replace(house.rules, generation=2, limits=Limits(statement_timeout=3.0))
    port.services = replace(port.services, rules=lambda: rules)
    assert (await house.ask(client, "SHOW statement_timeout")).rows == [(b"3s",)]
    assert port.session.limits.statement_timeout == 3.0
    client.close()


async def test_too_many_clients_are_told_so_once_they_proved_who_they_are(houses: Houses) -> None:
    house = await houses(options=Options(max_client_connections=1))
    client = await house.connect()
    second = await house.connect()
    assert [(one["C"], one["M"]) for one in second.greeting.errors] == [("53300", "sorry, too many clients already")]
    second.close()
    client.close()


async def test_new_rules_hold_from_the_next_transaction_on(house: House) -> None:
    client = await house.connect()
    (port,) = house.listener.clients
    await house.ask(client, "BEGIN")
    old = port.grant
    house.rules.granted = replace(house.rules.granted, keys={"default": "99"})
    port.services = replace(port.services, rules=lambda: rules)
    rules = OneTenant(house.rules.granted, generation=2)
    await house.ask(client, "SELECT 1")
    assert port.grant is old
    await house.ask(client, "COMMIT")
    await house.ask(client, "SELECT 1")
    assert port.grant is not None
    assert port.grant.keys == {"default": "99"}
    assert port.session.generation == 2
    client.close()


async def test_a_login_that_the_rules_took_away_or_gave_to_another_tenant_is_ended(house: House) -> None:
    for rules in (OneTenant(grant(), logins=()), OneTenant(grant(tenant="globex"))):
        client = await house.connect()
        (port,) = house.listener.clients
        port.services = replace(port.services, rules=partial(_same, rules))
        ended = await house.ask(client, "SELECT 1")
        assert [one["C"] for one in ended.errors] == ["57P01"]
        assert ended.rows == []
        client.close()
        await until(lambda: not house.listener.clients)


async def test_a_pinned_session_gets_new_rules_between_transactions_but_cannot_move_to_another_server(
    house: House,
) -> None:
    client = await house.connect()
    (port,) = house.listener.clients
    await house.ask(client, "CREATE TEMP TABLE pinned ()")
    lease = port.session.lease
    assert lease is not None
    rules = OneTenant(replace(house.rules.granted, keys={"default": "99"}), generation=2)
    port.services = replace(port.services, rules=lambda: rules)
    assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
    assert port.session.generation == 2
    assert port.session.lease is lease
    moved = replace(rules.granted, server=replace(rules.granted.server, database="elsewhere"))
    port.services = replace(port.services, rules=partial(_same, OneTenant(moved, generation=3)))
    ended = await house.ask(client, "SELECT 1")
    assert [one["C"] for one in ended.errors] == ["57P01"]
    client.close()
    await until(lambda: house.pools.statistics().leased == 0)


async def test_who_only_executes_what_is_prepared_moves_to_new_rules_too(house: House) -> None:
    client = await house.connect()
    (port,) = house.listener.clients
    named = parse("SELECT 1", "mine") + SYNC
    run = bind("mine") + execute() + SYNC

    def talk(data: bytes) -> Exchange:
        client.socket.sendall(data)
        return client.collect()

    await asyncio.to_thread(talk, named)
    assert (await asyncio.to_thread(talk, run)).rows == [(b"1",)]
    rules = OneTenant(replace(house.rules.granted, keys={"default": "99"}), generation=2)
    port.services = replace(port.services, rules=lambda: rules)
    assert (await asyncio.to_thread(talk, run)).rows == [(b"1",)]
    assert port.session.generation == 2
    port.services = replace(port.services, rules=partial(_same, OneTenant(grant(), logins=())))
    ended = await asyncio.to_thread(talk, run)
    assert [one["C"] for one in ended.errors] == ["57P01"]
    assert ended.rows == []
    client.close()
