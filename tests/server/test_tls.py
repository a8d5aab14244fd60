"""TLS towards clients: a real handshake, nothing older than 1.2, and no word in the clear behind the request."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from proxy.server.tls import server_context
from tests.server.conftest import House, until

Houses = Callable[..., "asyncio.Task[House]"]
SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A chain for 127.0.0.1 with its root, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    files = folder / "server.crt", folder / "server.key"
    files[0].write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems) + authority.cert_pem.bytes())
    files[1].write_bytes(made.private_key_pem.bytes())
    return files


def client_context(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


async def encrypted(house: House, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(SSL_REQUEST)
    assert await reader.readexactly(1) == b"S"
    try:
        await writer.start_tls(context, server_hostname="127.0.0.1")
    except BaseException:
        writer.close()
        raise
    return reader, writer


async def test_a_client_that_does_not_wait_is_answered_in_the_cipher(
    houses: Houses, certificate: tuple[Path, Path]
) -> None:
    """The first message comes in one packet with the end of the handshake."""
    house = await houses(tls=server_context(*certificate))
    reader, writer = await encrypted(house, client_context(certificate[0]))  # the client's Finished is on its way
    body = b"\0\3\0\0user\0alice\0database\0test\0\0"
    writer.write((len(body) + 4).to_bytes(4, "big") + body)
    assert (await reader.readexactly(1)) == b"R"
    writer.close()
    await writer.wait_closed()


async def test_an_old_version_of_tls_is_refused_and_others_go_on(
    houses: Houses, certificate: tuple[Path, Path]
) -> None:
    house = await houses(tls=server_context(*certificate))
    assert server_context(*certificate).minimum_version is ssl.TLSVersion.TLSv1_2
    wrong = ssl.create_default_context()  # trusts others only: the client ends the handshake
    with pytest.raises(ssl.SSLError):
        await encrypted(house, wrong)
    await until(lambda: not house.listener.clients)
    _, writer = await encrypted(house, client_context(certificate[0]))
    writer.close()
    await writer.wait_closed()


async def test_bytes_in_the_clear_behind_the_request_end_the_connection(
    houses: Houses, certificate: tuple[Path, Path]
) -> None:
    house = await houses(tls=server_context(*certificate))
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    body = b"\0\3\0\0user\0alice\0\0"
    writer.write(SSL_REQUEST + (len(body) + 4).to_bytes(4, "big") + body)
    try:
        answer = await reader.read()
    except ConnectionResetError:
        answer = b""
    assert b"R" not in answer
    assert b"SASL" not in answer
    writer.close()
    await until(lambda: not house.listener.clients)


def test_files_that_cannot_be_used_are_an_error_at_the_start(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    with pytest.raises(OSError, match="No such file"):
        server_context(tmp_path / "none", certificate[1])
    broken = tmp_path / "broken"
    broken.write_text("not a key", encoding="utf-8")
    with pytest.raises(ssl.SSLError):
        server_context(certificate[0], broken)
