"""Server connections to a real PostgreSQL with TLS: who is believed, what is shown, and what cannot be passed on."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from proxy.catalog.connect import connect as connect_catalog
from proxy.errors import ConfigurationError, ConnectionFailure
from proxy.pool.connect import connect
from proxy.pool.connection import ServerConnection
from proxy.tenancy.policy import Credentials, Grant
from proxy.tenancy.servers import place_of
from tests.kit.postgres import Cluster, running
from tests.pool.scripted import grant_at

PASSWORD = "s3cret"
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
HBA = """local all all trust
hostssl all by_certificate 127.0.0.1/32 cert
hostssl all all 127.0.0.1/32 scram-sha-256
hostnossl all all 127.0.0.1/32 reject
"""


@dataclass(frozen=True, slots=True)
class Secured:
    """A server with a certificate for 127.0.0.1, and files: root, other (another root), client and its key."""

    cluster: Cluster
    folder: Path

    def grant(self, parameters: str, role: str = "app", password: str | None = PASSWORD) -> Grant:
        uri = f"postgresql://{role}@127.0.0.1:{self.cluster.port}/shared?{parameters.format(folder=self.folder)}"
        server, credentials = place_of(uri, password)
        return replace(grant_at(1), server=server, credentials=credentials)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """PostgreSQL 15; that of the demo's wheel has no TLS."""
    folder = tmp_path_factory.mktemp("secured")
    authority = trustme.CA()
    made, client = authority.issue_cert("127.0.0.1"), authority.issue_cert(common_name="by_certificate")
    wrong = authority.issue_cert("elsewhere.example")
    files = {
        "root.crt": authority.cert_pem, "other.crt": trustme.CA().cert_pem, "client.crt": client.cert_chain_pems[0],
        "client.key": client.private_key_pem, "wrong.crt": wrong.cert_chain_pems[0], "wrong.key": wrong.private_key_pem,
        "server.crt": made.cert_chain_pems[0], "server.key": made.private_key_pem,
    }  # fmt: skip
    for name, blob in files.items():
        (folder / name).write_bytes(blob.bytes())
    with running(15, auth="scram-sha-256") as cluster:
        owner = cluster.data.stat()
        for name in ("root.crt", "server.crt", "server.key", "wrong.crt", "wrong.key"):
            there = cluster.data / name
            there.write_bytes((folder / name).read_bytes())
            there.chmod(0o600)
            os.chown(there, owner.st_uid, owner.st_gid)
        (cluster.data / "pg_hba.conf").write_text(HBA, encoding="ascii")
        cluster.psql(sql=f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE by_certificate LOGIN")
        cluster.create_database("shared")
        for name, value in (("ssl", "on"), ("ssl_ca_file", "root.crt")):
            cluster.psql(sql=f"ALTER SYSTEM SET {name} = '{value}'")
        cluster.psql(sql="SELECT pg_reload_conf()")
        yield Secured(cluster, folder)


def seen(secured: Secured, connection: ServerConnection) -> str:
    """How the server sees it: TLS, and the name in the certificate that it was shown."""
    return secured.cluster.psql(
        sql=f"SELECT ssl, client_dn FROM pg_stat_ssl WHERE pid = {connection.state.process_id}"
    ).strip()


@pytest.mark.parametrize(
    "parameters",
    [
        "sslmode=prefer", "sslmode=require", "sslmode=require&sslrootcert={folder}/root.crt",
        "sslmode=verify-ca&sslrootcert={folder}/root.crt", "sslmode=verify-full&sslrootcert={folder}/root.crt",
        "sslmode=require&channel_binding=disable&max_protocol_version=3.0",
    ],
)  # fmt: skip
async def test_every_mode_that_asks_for_tls_gets_it(secured: Secured, parameters: str) -> None:
    grant = secured.grant(parameters)
    connection = await accepted_in_the_end(grant)
    assert seen(secured, connection) == "t|"
    connection.abort()
    catalog = await connect_catalog(grant.server, grant.credentials)
    assert await catalog.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    await catalog.close()


@pytest.mark.parametrize(
    "parameters",
    [
        "sslmode=disable", "sslmode=require&sslrootcert={folder}/other.crt",
        "sslmode=verify-ca&sslrootcert={folder}/other.crt", "sslmode=verify-full&sslrootcert={folder}/other.crt",
        "sslrootcert=system", "sslmode=verify-full&sslrootcert={folder}/none.crt",
    ],
)  # fmt: skip
async def test_a_server_that_cannot_prove_itself_is_not_spoken_to(secured: Secured, parameters: str) -> None:
    grant = secured.grant(parameters)
    with pytest.raises(ConnectionFailure) as failed:
        await connect(grant)
    assert "127.0.0.1" not in failed.value.message
    with pytest.raises((OSError, ConfigurationError, Exception)):  # asyncpg's own for what the server says
        await connect_catalog(grant.server, grant.credentials)


async def test_a_certificate_for_another_name_is_good_for_verify_ca_only(secured: Secured) -> None:
    secured.cluster.psql(sql="ALTER SYSTEM SET ssl_cert_file = 'wrong.crt'")
    secured.cluster.psql(sql="ALTER SYSTEM SET ssl_key_file = 'wrong.key'")
    secured.cluster.psql(sql="SELECT pg_reload_conf()")
    try:
        full = secured.grant("sslmode=verify-full&sslrootcert={folder}/root.crt")
        await refused_in_the_end(full)
        (await connect(secured.grant("sslmode=verify-ca&sslrootcert={folder}/root.crt"))).abort()
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect_catalog(full.server, full.credentials)
    finally:
        secured.cluster.psql(sql="ALTER SYSTEM RESET ssl_cert_file")
        secured.cluster.psql(sql="ALTER SYSTEM RESET ssl_key_file")
        secured.cluster.psql(sql="SELECT pg_reload_conf()")
        (await accepted_in_the_end(full)).abort()


async def refused_in_the_end(grant: Grant) -> None:
    """The server takes its new settings when it comes round to it."""
    async with asyncio.timeout(20):
        while True:
            try:
                (await connect(grant)).abort()
            except ConnectionFailure:
                return
            await asyncio.sleep(0.01)


async def accepted_in_the_end(grant: Grant) -> ServerConnection:
    """Likewise."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await connect(grant)
            except ConnectionFailure:
                await asyncio.sleep(0.01)


async def test_a_certificate_of_the_proxys_own_is_shown_to_a_server_that_asks(secured: Secured) -> None:
    files = "sslmode=verify-full&sslrootcert={folder}/root.crt&sslcert={folder}/client.crt&sslkey={folder}/client.key"
    grant = secured.grant(files, "by_certificate", None)
    connection = await connect(grant)
    assert "CN=by_certi" in seen(secured, connection)  # the server tells the first 63 bytes
    connection.abort()
    catalog = await connect_catalog(grant.server, grant.credentials)
    await catalog.close()
    with pytest.raises(ConnectionFailure):
        await connect(secured.grant("sslmode=verify-full&sslrootcert={folder}/root.crt", "by_certificate", None))


@pytest.mark.parametrize("mode", ["prefer", "require"])
async def test_no_certificate_of_the_environment_or_the_home_directory_is_shown(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str
) -> None:
    home = tmp_path / ".postgresql"
    home.mkdir()
    for name, file in (("postgresql.crt", "client.crt"), ("postgresql.key", "client.key"), ("root.crt", "other.crt")):
        (home / name).write_bytes((secured.folder / file).read_bytes())
        (home / name).chmod(0o600)
    grant = secured.grant(f"sslmode={mode}")
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ({}, {"PGSSLCERT": "client.crt", "PGSSLKEY": "client.key", "PGSSLROOTCERT": "other.crt"}):
        for name, file in given.items():
            monkeypatch.setenv(name, str(secured.folder / file))
        catalog = await connect_catalog(grant.server, grant.credentials)
        shown = await catalog.fetchrow("SELECT ssl, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert shown is not None
        assert tuple(shown) == (True, None)
        await catalog.close()


async def test_a_cancel_request_goes_through_tls_as_well(secured: Secured) -> None:
    connection = await connect(secured.grant("sslmode=verify-full&sslrootcert={folder}/root.crt"))
    heard = Heard()
    connection.receiver = heard
    connection.write(b"Q" + (31).to_bytes(4, "big") + b"SELECT 1, pg_sleep(30.000)\0")
    async with asyncio.timeout(20):
        while b"57014" not in heard.data:  # a request that comes before the statement is for nothing
            await connection.cancel()
    connection.abort()


class Heard:
    """A receiver that keeps what comes."""

    def __init__(self) -> None:
        self.data = b""

    def backend_data(self, data: bytes) -> None:
        self.data += data

    def backend_lost(self, reason: str) -> None: ...
    def backend_writable(self, writable: bool) -> None: ...


@asynccontextmanager
async def in_between(secured: Secured) -> AsyncIterator[int]:
    """Somebody who ends TLS with a certificate of its own and goes on to the server by TLS."""
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(secured.folder / "wrong.crt", secured.folder / "wrong.key")
    theirs.set_alpn_protocols(["postgresql"])
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    running: list[asyncio.Task[Any]] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_connection("127.0.0.1", secured.cluster.port)
        back.write(SSL_REQUEST)
        assert await onward.readexactly(1) == b"S"
        await back.start_tls(blind)
        await asyncio.gather(relay(reader, back), relay(onward, writer), return_exceptions=True)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.append(asyncio.ensure_future(both(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=theirs)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*running)


async def test_who_ends_tls_in_between_cannot_pass_the_log_in_on(secured: Secured) -> None:
    """The mode believes anybody, channel binding does not; without it the log-in goes through."""
    direct = Credentials(PASSWORD, tls="require", direct_tls=True)
    async with in_between(secured) as port:
        grant = secured.grant("sslmode=require")
        grant = replace(grant, server=replace(grant.server, port=port), credentials=direct)
        with pytest.raises(ConnectionFailure) as failed:
            await connect(grant)
        assert failed.value.__cause__ is not None
        assert "channel binding" in str(getattr(failed.value.__cause__, "response", ""))
        unbound = replace(grant, credentials=replace(direct, channel_binding=False))
        (await connect(unbound)).abort()
