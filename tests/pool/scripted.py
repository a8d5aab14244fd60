"""A server of few words: it accepts, hands each connection to a script, and is gone with the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from proxy.backend.state import BackendState
from proxy.pool.connection import ServerConnection
from proxy.tenancy.policy import Credentials, Grant, Limits, Policy, Server
from proxy.wire.backend import BackendKeyData, ParameterStatus, ReadyForQuery

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

AUTHENTICATED = b"R\0\0\0\x08\0\0\0\0"
REPORTED = {
    "client_encoding": "UTF8",
    "server_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "is_superuser": "off",
    "integer_datetimes": "on",
    "session_authorization": "app",
}


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[int]:
    """The port at which `script` answers; what it raises is raised at the end."""
    running: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await script(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.append(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
        async with asyncio.timeout(20):
            await asyncio.gather(*running)
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def grant_at(port: int, settings: Mapping[str, str] | None = None) -> Grant:
    """A grant that leads to the scripted server, in the clear."""
    server = Server("127.0.0.1", port, "shared", "app")
    policy = Policy("shared", "row", "tenant_id", {})
    return Grant("acme", "shared", server, Credentials(tls="disable"), policy, {}, Limits(), settings or {})


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    """A packet without a type byte: StartupMessage, SSLRequest or CancelRequest; its body."""
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big") - 4)


def welcome(status: int = ord("I"), **changed: str | None) -> bytes:
    """Everything that a server says to let the role app in; `changed` are parameters, None leaves one out."""
    reported = {**REPORTED, **changed}
    parameters = b"".join(
        ParameterStatus(name, value).encode() for name, value in reported.items() if value is not None
    )
    return AUTHENTICATED + parameters + BackendKeyData(7, b"four").encode() + ReadyForQuery(status).encode()


class Wire(asyncio.Transport):
    """A transport that keeps what is written and knows whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.aborted = False
        self.closed = False
        self.on_close: Callable[[Exception | None], None] | None = None  # a real one tells its protocol, soon after

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def pause_reading(self) -> None:
        assert self.reading, "paused twice"
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading, "resumed twice"
        self.reading = True

    def close(self) -> None:
        self.closed = True
        if self.on_close is not None:
            asyncio.get_running_loop().call_soon(self.on_close, None)

    def abort(self) -> None:
        self.aborted = True


class Ear:
    """A receiver that keeps what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.losses: list[str] = []
        self.writable: list[bool] = []

    def backend_data(self, data: bytes) -> None:
        self.data += data

    def backend_lost(self, reason: str) -> None:
        self.losses.append(reason)

    def backend_writable(self, writable: bool) -> None:
        self.writable.append(writable)


def wired(**parameters: str) -> tuple[ServerConnection, Wire]:
    """A logged-in connection whose socket is a Wire; `parameters` are what the server reported beside the usual."""
    grant = grant_at(1)
    connection, wire = ServerConnection(grant.server, grant.credentials, {}), Wire()
    connection.connection_made(wire)
    connection.state = BackendState(7, b"four", {**REPORTED, **parameters})
    return connection, wire
