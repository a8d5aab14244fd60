"""Of several addresses the first that fits is used; each has a limit of time of its own, and the good one is kept."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from proxy.errors import ConnectionFailure
from proxy.pool.hosts import Hosts, wanted
from proxy.tenancy.policy import Grant
from tests.pool.scripted import grant_at, read_packet, scripted, welcome

PRIMARY = {"in_hot_standby": "off", "default_transaction_read_only": "off"}
STANDBY = {"in_hot_standby": "on", "default_transaction_read_only": "off"}
READ_ONLY = {"in_hot_standby": "off", "default_transaction_read_only": "on"}


class Place:
    """A scripted server of one kind that counts who came."""

    def __init__(self, **reported: str) -> None:
        self.reported = reported
        self.came = 0
        self.silent = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        self.came += 1
        if not self.silent:
            writer.write(welcome(ord("I"), **self.reported))
        await reader.read()


def several(ports: list[int], target: str) -> Grant:
    grant = grant_at(ports[0])
    others = tuple(("127.0.0.1", port) for port in ports[1:])
    return replace(grant, server=replace(grant.server, others=others, target=target))


async def reached(hosts: Hosts, grant: Grant) -> int:
    connection = await hosts.connect(grant)
    connection.close()
    return connection.server.port


@pytest.mark.parametrize(
    ("target", "reported", "fits"),
    [
        ("any", STANDBY, True),
        ("primary", PRIMARY, True), ("primary", STANDBY, False), ("primary", READ_ONLY, True),
        ("standby", PRIMARY, False), ("standby", STANDBY, True), ("standby", READ_ONLY, False),
        ("read-write", PRIMARY, True), ("read-write", STANDBY, False), ("read-write", READ_ONLY, False),
        ("read-only", PRIMARY, False), ("read-only", STANDBY, True), ("read-only", READ_ONLY, True),
    ],
)  # fmt: skip
def test_what_a_server_reports_says_what_it_is(target: str, reported: dict[str, str], fits: bool) -> None:
    assert wanted(target, reported) is fits


async def test_the_first_that_fits_is_used_and_asked_first_the_next_time() -> None:
    standby, primary = Place(**STANDBY), Place(**PRIMARY)
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(scripted(one)) for one in (standby, primary)]
        hosts = Hosts()
        for _ in range(3):
            assert await reached(hosts, several(ports, "read-write")) == ports[1]
        assert (standby.came, primary.came) == (1, 3)


async def test_one_that_prefers_a_standby_takes_a_primary_where_there_is_none() -> None:
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(scripted(Place(**PRIMARY))) for _ in range(2)]
        assert await reached(Hosts(), several(ports, "prefer-standby")) == ports[0]


async def test_an_address_that_does_not_answer_costs_its_own_time_only() -> None:
    silent, primary = Place(), Place(**PRIMARY)
    silent.silent = True
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(scripted(one)) for one in (silent, primary)]
        assert await reached(Hosts(host_timeout=0.1), several(ports, "any")) == ports[1]


@pytest.mark.parametrize("count", [1, 2])
async def test_where_none_fits_nobody_is_connected_and_nothing_stays_open(count: int) -> None:
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(scripted(Place(**STANDBY))) for _ in range(count)]
        with pytest.raises(ConnectionFailure) as failed:
            await Hosts().connect(several(ports, "primary"))
        assert failed.value.sqlstate == "08006"


async def test_a_server_whose_role_changes_is_not_what_was_asked_for() -> None:
    async with scripted(Place(**STANDBY)) as port:
        connection = await Hosts().connect(several([port], "standby"))
        assert connection.state.parameter("in_hot_standby", "on")
        assert not connection.state.parameter("in_hot_standby", "off")
        assert connection.state.tainted is not None
        connection.close()
