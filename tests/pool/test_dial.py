"""Reaching a server: TLS as its sslmode says, and not a byte taken that came in the clear behind the answer."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from proxy.auth.binding import end_point
from proxy.errors import ConnectionFailure
from proxy.pool.dial import binding_of, dial
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import Cluster, free_port
from tests.pool.scripted import Script, scripted

SSL_REQUEST = bytes.fromhex("0000000804d2162f")


class Heard(asyncio.Protocol):
    """A client that says hello once it may."""

    def __init__(self) -> None:
        self.made = 0
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made += 1
        transport.write(b"hello")  # type: ignore[attr-defined]  # what create_connection makes

    def data_received(self, data: bytes) -> None:
        self.data += data


def answering(answer: bytes, heard: list[bytes]) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readexactly(8))
        writer.write(answer)
        heard.append(await reader.read(5))
        await reader.read()

    return script


async def attempt(port: int, mode: str, protocol: Heard, timeout: float = 5.0) -> asyncio.Transport:
    return await dial(protocol, Server("127.0.0.1", port, "shared", "app"), Credentials(tls=mode), timeout)


async def test_disable_speaks_at_once_and_never_asks() -> None:
    heard: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readexactly(5))

    protocol = Heard()
    async with scripted(script) as port:
        transport = await attempt(port, "disable", protocol)
    transport.abort()
    assert heard == [b"hello"]
    assert protocol.made == 1


async def test_prefer_goes_on_in_the_clear_when_the_server_has_no_tls() -> None:
    heard: list[bytes] = []
    protocol = Heard()
    async with scripted(answering(b"N", heard)) as port:
        transport = await attempt(port, "prefer", protocol)
        transport.close()
    assert heard == [SSL_REQUEST, b"hello"]
    assert protocol.made == 1


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_stronger_modes_say_nothing_in_the_clear(mode: str) -> None:
    heard: list[bytes] = []
    protocol = Heard()
    async with scripted(answering(b"N", heard)) as port:
        with pytest.raises(ConnectionFailure):
            await attempt(port, mode, protocol)
    assert heard in ([SSL_REQUEST, b""], [])  # [] where no root certificate is at hand to verify with
    assert protocol.made == 0


@pytest.mark.parametrize("answer", [b"SX", b"S" + b"E\0\0\0\4", b"NR\0\0\0\x08\0\0\0\0", b"E", b"\0", b""])
@pytest.mark.parametrize("mode", ["prefer", "require"])
async def test_what_comes_behind_the_one_byte_answer_ends_the_connection(mode: str, answer: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(answer)
        if answer:
            assert await reader.read() == b""

    protocol = Heard()
    async with scripted(script) as port:
        with pytest.raises(ConnectionFailure):
            await attempt(port, mode, protocol)
    assert (protocol.made, protocol.data) == (0, b"")


async def test_a_silent_server_and_none_at_all_are_failures_that_name_nothing() -> None:
    async with scripted(answering(b"", [])) as port:
        with pytest.raises(ConnectionFailure) as silent:
            await attempt(port, "prefer", Heard(), timeout=0.05)
    with pytest.raises(ConnectionFailure) as absent:
        await attempt(free_port(), "disable", Heard())
    for failed in (silent, absent):
        assert "127.0.0.1" not in str(failed.value.message)


async def test_a_unix_socket_is_never_asked_for_tls(postgres15: Cluster) -> None:
    protocol = Heard()
    server = Server(str(postgres15.socket_directory), postgres15.port, "postgres", "app")
    transport = await dial(protocol, server, Credentials(tls="require"), 5.0)
    transport.abort()
    assert protocol.made == 1


@pytest.mark.parametrize(("alpn", "answered"), [(["postgresql"], True), ([], False)])
async def test_tls_at_once_insists_on_the_name_of_the_protocol(tmp_path: Path, alpn: list[str], answered: bool) -> None:
    made = trustme.CA().issue_cert("127.0.0.1")
    (tmp_path / "key").write_bytes(made.private_key_pem.bytes())
    (tmp_path / "crt").write_bytes(made.cert_chain_pems[0].bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    if alpn:
        context.set_alpn_protocols(alpn)
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        with suppress(ConnectionError):
            data = await reader.read(100)
        heard.put_nowait(data)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    place = Server("127.0.0.1", server.sockets[0].getsockname()[1], "shared", "app")
    protocol = Heard()
    try:
        transport = await dial(protocol, place, Credentials(tls="require", direct_tls=True), 5.0)
        assert binding_of(transport) == end_point(ssl.PEM_cert_to_DER_cert((tmp_path / "crt").read_text("ascii")))
        assert await heard.get() == b"hello"
        transport.abort()
    except ConnectionFailure:
        assert not answered
        assert await heard.get() == b""
    assert protocol.made == int(answered)
    server.close()
