"""A server connection is handed out only when the server says of itself what everything else relies on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.demo.cluster import Auth
from proxy.errors import ConnectionFailure
from proxy.pool.connect import PINNED, connect, require_pinned
from proxy.wire.fields import message
from proxy.wire.startup import PROTOCOL_3_2, StartupMessage, decode_startup
from tests.kit.postgres import running
from tests.pool.scripted import AUTHENTICATED, REPORTED, Script, grant_at, read_packet, scripted, welcome


def greeter(answer: bytes, heard: list[bytes]) -> Script:
    """Takes the start-up packet, gives one answer, and waits for the end."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await read_packet(reader))
        writer.write(answer)
        await reader.read()

    return script


async def test_the_servers_identity_and_what_is_pinned_are_sent_whatever_the_tenant_set() -> None:
    heard: list[bytes] = []
    async with scripted(greeter(welcome(), heard)) as port:
        settings = {"search_path": "evil", "DateStyle": "German"}
        connection = await connect(grant_at(port, settings))
        connection.close()
    packet = decode_startup(heard[0])
    assert isinstance(packet, StartupMessage)
    sent = packet.parameters
    assert packet.version == PROTOCOL_3_2
    assert (sent["user"], sent["database"], sent["DateStyle"]) == ("app", "shared", "German")
    assert {name: sent[name] for name in PINNED} == PINNED


@pytest.mark.parametrize("name", REPORTED)
async def test_a_server_that_reports_something_else_or_nothing_is_left(name: str) -> None:
    for value in ("something else", None):
        async with scripted(greeter(welcome(ord("I"), **{name: value}), [])) as port:
            with pytest.raises(ConnectionFailure) as failed:
                await connect(grant_at(port))
        assert failed.value.detail is not None
        assert name in failed.value.detail


async def test_a_server_that_is_not_idle_after_the_log_in_is_left() -> None:
    async with scripted(greeter(welcome(ord("T")), [])) as port:
        with pytest.raises(ConnectionFailure):
            await connect(grant_at(port))


@pytest.mark.parametrize(
    ("code", "shown"), [("53300", "53300"), ("57P03", "57P03"), ("28P01", "08006"), ("3D000", "08006")]
)
async def test_only_what_the_server_says_of_itself_is_passed_on(code: str, shown: str) -> None:
    fields = b"SFATAL\0C" + code.encode() + b"\0Mdatabase secret_name is not there\0\0"
    async with scripted(greeter(message(69, fields), [])) as port:
        with pytest.raises(ConnectionFailure) as failed:
            await connect(grant_at(port))
    assert failed.value.sqlstate == shown
    if shown == "08006":
        assert "secret_name" not in str(failed.value.message)


@pytest.mark.parametrize(
    "answer", [b"X\0\0\0\4", b"\0\0\0\0\0\0", AUTHENTICATED + AUTHENTICATED, AUTHENTICATED + b"D\0\0\0\6\0\0"]
)
async def test_a_server_that_breaks_the_protocol_is_left(answer: bytes) -> None:
    async with scripted(greeter(answer, [])) as port:
        with pytest.raises(ConnectionFailure) as failed:
            await connect(grant_at(port))
    assert failed.value.sqlstate == "08006"


async def test_a_silent_server_is_left_when_the_time_is_over() -> None:
    async with scripted(greeter(b"", [])) as port:
        with pytest.raises(ConnectionFailure):
            await connect(grant_at(port), timeout=0.05)


async def test_a_server_that_hangs_up_is_a_failure_and_not_a_wait() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)

    async with scripted(script) as port:
        with pytest.raises(ConnectionFailure):
            await connect(grant_at(port))


def test_another_role_than_ours_is_refused() -> None:
    require_pinned(REPORTED, "app")
    with pytest.raises(ConnectionFailure):
        require_pinned(REPORTED, "postgres")


async def test_the_passwords_of_two_grants_are_their_own() -> None:
    heard: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(message(82, (3).to_bytes(4, "big")))  # AuthenticationCleartextPassword
        heard.append(await reader.read(200))

    async with scripted(script) as port:
        grant = grant_at(port)
        with pytest.raises(ConnectionFailure):
            await connect(replace(grant, credentials=replace(grant.credentials, password="in the clear")))
    assert b"in the clear" not in b"".join(heard)  # a server that asks for it in the clear does not get it


@pytest.mark.parametrize("auth", ["trust", "md5", "scram-sha-256"])
async def test_a_real_server_is_given_the_proof_it_asks_for(auth: Auth) -> None:
    with running(15, auth=auth) as cluster:
        cluster.psql(sql="CREATE ROLE app LOGIN PASSWORD 's3cret'")
        cluster.create_database("shared")
        grant = grant_at(cluster.port)
        connection = await connect(replace(grant, credentials=replace(grant.credentials, password="s3cret")))
        connection.close()
        if auth != "trust":
            for password in ("wrong", None):
                with pytest.raises(ConnectionFailure):
                    await connect(replace(grant, credentials=replace(grant.credentials, password=password)))
        assert cluster.psql(sql="SELECT left(rolpassword, 3) FROM pg_authid WHERE rolname = 'app'").strip() == (
            "md5" if auth == "md5" else "SCR"
        )
