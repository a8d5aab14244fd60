"""TLS towards clients: a real handshake, nothing older than 1.2, and no word in the clear behind the request."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.auth.binding import end_point
from proxy.server.listener import Listener
from proxy.server.tls import server_tls
from proxy.session.conversation import Phase
from tests.kit.builders import OneTenant, grant, services
from tests.server.conftest import House, until

Houses = Callable[..., "asyncio.Task[House]"]
SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A chain for 127.0.0.1 with its root, and its key."""
    return fresh(tmp_path_factory.mktemp("tls"))


def fresh(folder: Path) -> tuple[Path, Path]:
    """Another."""
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
    house = await houses(tls=server_tls(*certificate))
    reader, writer = await encrypted(house, client_context(certificate[0]))  # the client's Finished is on its way
    body = b"\0\3\0\0user\0alice\0database\0test\0\0"
    writer.write((len(body) + 4).to_bytes(4, "big") + body)
    assert (await reader.readexactly(1)) == b"R"
    writer.close()
    await writer.wait_closed()


async def test_an_old_version_of_tls_is_refused_and_others_go_on(
    houses: Houses, certificate: tuple[Path, Path]
) -> None:
    house = await houses(tls=server_tls(*certificate))
    assert server_tls(*certificate).context.minimum_version is ssl.TLSVersion.TLSv1_2
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
    house = await houses(tls=server_tls(*certificate))
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


async def direct(
    port: int, certificate: Path, alpn: str | None = "postgresql", delay: int = 0
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """TLS from the first byte, as libpq's sslnegotiation=direct. delay: the first so many bytes come one by one."""
    context = client_context(certificate)
    if alpn is not None:
        context.set_alpn_protocols([alpn])
    if not delay:
        return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="127.0.0.1")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        try:
            secured.do_handshake()
            break
        except ssl.SSLWantReadError:
            data = outgoing.read()
            for at in range(min(delay, len(data))):
                writer.write(data[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0.001)  # so that it is a packet of its own
            writer.write(data[delay:])
            data = await reader.read(65536)
            assert data
            incoming.write(data)
    writer.write(outgoing.read())
    assert secured.selected_alpn_protocol() == alpn
    return reader, writer


STARTUP = (34).to_bytes(4, "big") + b"\0\3\0\0user\0alice\0database\0test\0\0"


LOOPS = ["asyncio", "uvloop"]


def on_loop(name: str, certificate: tuple[Path, Path], talk: Callable[[Listener, int], Awaitable[None]]) -> None:
    """Talks to a listener on this kind of loop."""

    async def main() -> None:
        listener = Listener(services(OneTenant(grant()), None, tls=server_tls(*certificate)))
        port = await listener.start("127.0.0.1", 0)
        try:
            await talk(listener, port)
        finally:
            await listener.close()

    with asyncio.Runner(loop_factory=import_module(name).new_event_loop) as runner:
        runner.run(main())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("delay", [0, 9])
def test_a_client_may_begin_with_tls_where_it_says_what_it_speaks(
    loop: str, delay: int, certificate: tuple[Path, Path]
) -> None:
    async def talk(listener: Listener, port: int) -> None:
        reader, writer = await direct(port, certificate[0], delay=delay)
        if not delay:
            writer.write(STARTUP)
            assert (await reader.readexactly(9))[:1] == b"R"
        writer.close()

    on_loop(loop, certificate, talk)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("begun", [SSL_REQUEST, b"\x16\3\1"])
def test_who_leaves_during_the_handshake_is_gone(loop: str, begun: bytes, certificate: tuple[Path, Path]) -> None:
    async def talk(listener: Listener, port: int) -> None:
        for how in ("reset", "end", "stay"):
            with socket.create_connection(("127.0.0.1", port)) as raw:
                raw.sendall(begun)
                await until(lambda: [one.session.phase for one in listener.clients] == [Phase.TLS])
                if how == "reset":
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                elif how == "stay":
                    await listener.close()
                    assert not listener.clients
            await until(lambda: not listener.clients)

    on_loop(loop, certificate, talk)


@pytest.mark.parametrize("alpn", [None, "http/1.1"])
async def test_a_client_of_another_protocol_is_not_spoken_to(
    houses: Houses, certificate: tuple[Path, Path], alpn: str | None
) -> None:
    house = await houses(tls=server_tls(*certificate))
    reader, writer = await direct(house.port, certificate[0], alpn)
    with suppress(ConnectionError):
        writer.write(STARTUP)
        assert await reader.read() == b""
    writer.close()
    await until(lambda: not house.listener.clients)
    assert [fields["reason"] for _, event, fields in house.log.events if event == "log-in refused"] == [
        "direct TLS without ALPN"
    ]


async def test_tls_at_once_is_no_way_in_where_there_is_none(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(b"\x16\3\1\1\0")
    assert await reader.read() == b""
    writer.close()


async def test_what_follows_an_encryption_request_is_agreed_on_as_well(
    houses: Houses, certificate: tuple[Path, Path]
) -> None:
    house = await houses(tls=server_tls(*certificate))
    context = client_context(certificate[0])
    context.set_alpn_protocols(["postgresql"])
    _, writer = await encrypted(house, context)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "postgresql"
    writer.close()


async def test_a_certificate_is_that_of_the_moment_and_its_binding_with_it(
    houses: Houses, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    first, second = server_tls(*certificate), server_tls(*fresh(tmp_path))
    assert first.binding is not None
    assert first.binding != second.binding
    shown = x509.load_pem_x509_certificate(certificate[0].read_bytes())  # the first of them
    assert first.binding == end_point(shown.public_bytes(Encoding.DER))


def test_files_that_cannot_be_used_are_an_error_at_the_start(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    with pytest.raises(OSError, match="No such file"):
        server_tls(tmp_path / "none", certificate[1])
    broken = tmp_path / "broken"
    broken.write_text("not a key", encoding="utf-8")
    with pytest.raises(ssl.SSLError):
        server_tls(certificate[0], broken)
