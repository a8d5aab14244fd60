"""The control door as a socket: one connection, one request, one answer, both a length and JSON.

Only this user and root may ask, by what the kernel says of the peer (SO_PEERCRED); where it says nothing nobody may.
A request must come in a few seconds, be short, and be whole; what is asked ends when the one who asked is gone. Who
does not read its answer is cut off. An answer that has not come by the time the request allows never comes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from proxy.fleet.control import (
    MAX_REQUEST,
    Answer,
    BadRequest,
    Request,
    decode,
    decode_answer,
    encode,
    encode_answer,
    patience,
)

HEADER = struct.Struct("!I")
MAX_ANSWER = 1 << 30  # bytes; the figures of ten thousand tenants are some ten millions
ARRIVAL = 5.0  # seconds for a request to come, and for an answer to be taken
CROWD = 64  # who are asking at a time; further ones are cut off

Handler = Callable[[Request], Awaitable[Answer]]


class Log(Protocol):
    """structlog's bound logger, as far as it is used here."""

    def warning(self, event: str, **fields: Any) -> Any: ...


class Unanswered(ConnectionError):
    """Nobody is there, or nothing came of it in time."""


class ControlDoor:
    """Answers on a listening socket."""

    def __init__(self, handler: Handler, log: Log) -> None:
        self._handler = handler
        self._log = log
        self._server: asyncio.Server | None = None
        self._asking: set[asyncio.Task[Any]] = set()

    async def start(self, listening: socket.socket) -> None:
        """Answers from now on."""
        self._server = await asyncio.start_unix_server(self._met, sock=listening, limit=64 << 10)

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._asking) >= CROWD:
            writer.transport.abort()
            return
        self._asking.add(task)
        try:
            if allowed(writer.get_extra_info("socket")):
                await self._answer(reader, writer)
            else:
                self._log.warning("a stranger at the control door")
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # who asked is gone, or too slow
        finally:
            self._asking.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer: Answer | None
        try:
            async with asyncio.timeout(ARRIVAL):
                (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
                if length > MAX_REQUEST:
                    raise BadRequest("the request is too long")
                request = decode(await reader.readexactly(length))
            answer = await self._handled(request, reader)
        except BadRequest as problem:
            answer = Answer(None, (str(problem),))
        if answer is not None:
            body = encode_answer(answer)
            writer.write(HEADER.pack(len(body)) + body)
            async with asyncio.timeout(ARRIVAL):
                writer.close()
                await writer.wait_closed()

    async def _handled(self, request: Request, reader: asyncio.StreamReader) -> Answer | None:
        """None: the one who asked is gone."""
        gone = asyncio.ensure_future(reader.read(1))
        work = asyncio.ensure_future(self._handler(request))
        try:
            async with asyncio.timeout(patience(request)):
                await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else None
        except TimeoutError:
            return Answer(None, ("it took too long",))
        except Exception as problem:  # the last line: a bug ends this request and nothing else
            self._log.warning("control request failed", exc_info=problem)
            return Answer(None, ("internal error; the log says more",))
        finally:
            for one in (gone, work):
                one.cancel()
            await asyncio.gather(gone, work, return_exceptions=True)

    async def close(self) -> None:
        """Takes nobody any more; who is being answered has a moment."""
        if self._server is not None:
            self._server.close()
        if self._asking:
            await asyncio.wait(self._asking, timeout=1.0)
        for task in tuple(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)


def allowed(peer: socket.socket) -> bool:
    """Is the peer this user, or root?"""
    return _uid(peer) in {0, os.geteuid()}


def _uid(peer: socket.socket) -> int | None:
    """The peer's user; None where the kernel does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    found: int = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))[1]
    return found


async def _connected(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """By a socket of our own, for an address without a file is not known to every event loop."""
    made = socket.socket(socket.AF_UNIX)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, address)
        return await asyncio.open_unix_connection(sock=made)
    except BaseException:
        made.close()
        raise


async def ask(address: str, request: Request, timeout: float | None = None) -> Answer:
    """Asks at the door of that path. Unanswered when nobody is there, or none came in `timeout` seconds."""
    try:
        async with asyncio.timeout(patience(request) if timeout is None else timeout):
            reader, writer = await _connected(address)
            try:
                if os.geteuid() and not allowed(writer.get_extra_info("socket")):
                    raise Unanswered("another user's process answers there")
                body = encode(request)
                writer.write(HEADER.pack(len(body)) + body)
                (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
                if length > MAX_ANSWER:
                    raise Unanswered("the answer is too long")
                return decode_answer(await reader.readexactly(length))
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise Unanswered("no answer in time") from None
    except asyncio.IncompleteReadError:
        raise Unanswered("the door was closed before the answer") from None
    except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
        raise Unanswered("nobody serves there") from None
