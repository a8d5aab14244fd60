"""Times that a tenant may take, at a real server, whatever its sessions set: in PostgreSQL's own words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from proxy.server.services import Options
from proxy.sql.copied import CopyIn
from proxy.sql.plan import Effects, Forward, Planned, StatementKind, Template
from proxy.tenancy.policy import Limits
from proxy.wire.copyformat import CopyFormat
from tests.kit.builders import forward
from tests.kit.rawclient import Exchange, RawClient, message
from tests.server.conftest import House

Houses = Callable[..., "asyncio.Task[House]"]
SLEEP = "SELECT pg_sleep(30)"
LIMITS = Limits(statement_timeout=0.3)
COPY = b"COPY taken FROM STDIN"
CODE = b"DO $$ BEGIN PERFORM set_config('statement_timeout', '0', false); END $$"
STOPPED = ("57014", "canceling statement due to statement timeout")


def told(seen: Exchange) -> list[tuple[str, str]]:
    return [(one["C"], one["M"]) for one in seen.errors]


def unlimited(client: RawClient) -> None:
    """As far as a session can."""
    for text in ("SET statement_timeout TO 0", "SET statement_timeout TO '10min'", "RESET ALL"):
        assert client.simple(text).errors == []


def in_a_block(client: RawClient) -> Exchange:
    client.simple("BEGIN")
    client.simple("SET LOCAL statement_timeout TO 0")
    return client.simple(SLEEP)


def pinned(client: RawClient) -> Exchange:
    client.simple("CREATE TEMP TABLE t (a int)")
    client.simple("SET statement_timeout TO 0")
    return client.simple(SLEEP)


def after_discard(client: RawClient) -> Exchange:
    client.simple("DISCARD ALL")
    return client.simple(SLEEP)


WAYS: dict[str, Callable[[RawClient], Exchange]] = {
    "plain": lambda client: client.simple(SLEEP),
    "extended": lambda client: client.extended(SLEEP),
    "second of a text": lambda client: client.simple(f"SELECT 1; {SLEEP}"),
    "copy": lambda client: client.simple(f"COPY ({SLEEP}) TO STDOUT"),
    "block": in_a_block,
    "pinned": pinned,
    "after discard": after_discard,
}


@pytest.mark.parametrize("mode", ["transaction", "session"])
async def test_no_statement_runs_longer_whatever_the_session_sets(houses: Houses, mode: str) -> None:
    house = await houses(limits=LIMITS)
    house.rules.granted = replace(house.rules.granted, pool_mode=mode)

    async def stopped(name: str, options: dict[str, str]) -> None:
        client = await house.connect(**options)
        await asyncio.to_thread(unlimited, client)
        assert told(await asyncio.to_thread(WAYS[name], client)) == [STOPPED], name
        assert (await house.ask(client, "ROLLBACK")).status == "I"
        assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
        client.close()

    for options in ({}, {"options": "-c statement_timeout=0"}):
        await asyncio.gather(*(stopped(name, options) for name in WAYS))  # each on a connection of its own


async def test_a_session_may_set_less(houses: Houses) -> None:
    house = await houses(limits=Limits(statement_timeout=60.0))
    client = await house.connect()
    await house.ask(client, "SET statement_timeout TO '20ms'")
    assert told(await house.ask(client, SLEEP)) == [STOPPED]
    client.close()


async def test_rows_from_the_client_do_not_take_longer_either(houses: Houses) -> None:
    house = await houses(limits=LIMITS, options=Options(sweep_interval=0.1))
    client = await house.connect()
    copied = Forward(StatementKind.COPY, Template((COPY,)), Effects(writes=True), copy=CopyIn("", 0, CopyFormat()))
    house.planner.plans[COPY] = Planned((copied,))
    await house.ask(client, "CREATE TEMP TABLE taken (a int)")

    def copy() -> Exchange:
        assert client.simple(COPY).messages[-1].tag == "G"
        client.socket.sendall(message("d", b"1\n"))
        return client.collect()

    assert told(await asyncio.to_thread(copy)) == [STOPPED]
    assert (await house.ask(client, "SELECT count(*) FROM taken")).rows == [(b"0",)]
    client.close()


async def test_code_that_changes_the_servers_setting_gains_a_second(houses: Houses) -> None:
    house = await houses(limits=LIMITS, options=Options(sweep_interval=0.1))
    client = await house.connect()
    house.planner.plans[CODE] = Planned((forward(CODE, Effects(pins="untracked"), StatementKind.DDL),))
    assert (await asyncio.to_thread(client.simple, CODE)).errors == []
    for _ in range(2):
        assert told(await house.ask(client, SLEEP)) == [STOPPED]
    assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
    client.close()


@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        (
            Limits(idle_in_transaction_timeout=0.2),
            ("FATAL", "25P03", "terminating connection due to idle-in-transaction timeout"),
        ),
        (Limits(transaction_timeout=0.2), ("FATAL", "25P04", "terminating connection due to transaction timeout")),
    ],
)
async def test_who_overstays_in_a_transaction_is_told_what_postgresql_says(
    houses: Houses, limits: Limits, refusal: tuple[str, str, str]
) -> None:
    house = await houses(limits=limits, options=Options(sweep_interval=0.05))
    client = await house.connect()
    await house.ask(client, "BEGIN")
    seen = await asyncio.to_thread(client.collect)
    assert [(one["S"], one["C"], one["M"]) for one in seen.errors] == [refusal]
    assert seen.closed
    other = await house.connect()
    assert (await house.ask(other, "SELECT 1")).rows == [(b"1",)]
    for one in (client, other):
        one.close()
