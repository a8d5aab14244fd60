"""A PostgreSQL client that keeps every message it receives, for comparing two servers message by message.

Blocking sockets, one statement at a time, no cleverness: what comes back is recorded as it came. It shares no decoder
with the
proxy, so that one mistake does not hide another: not even SCRAM is borrowed from it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Message:
    """A backend message as it came: its type byte and its body."""

    tag: str
    body: bytes


@dataclass(slots=True)
class Exchange:
    """Everything that came back until ReadyForQuery, or until the server hung up."""

    messages: list[Message] = field(default_factory=list)
    closed: bool = False

    @property
    def raw(self) -> bytes:
        return b"".join(one.tag.encode() + one.body for one in self.messages)

    @property
    def status(self) -> str:
        return self.messages[-1].body.decode() if self.messages and self.messages[-1].tag == "Z" else "closed"

    @property
    def errors(self) -> list[dict[str, str]]:
        return [error_fields(one.body) for one in self.messages if one.tag == "E"]

    @property
    def rows(self) -> list[tuple[bytes | None, ...]]:
        return [row_values(one.body) for one in self.messages if one.tag == "D"]

    @property
    def tags(self) -> list[str]:
        return [one.body[:-1].decode() for one in self.messages if one.tag == "C"]


def error_fields(body: bytes) -> dict[str, str]:
    """Fields of ErrorResponse or NoticeResponse by their letter."""
    return {part[:1].decode(): part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}


def row_values(body: bytes) -> tuple[bytes | None, ...]:
    """The column values of a DataRow."""
    (count,) = struct.unpack_from("!h", body)
    values: list[bytes | None] = []
    offset = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, offset)
        offset += 4
        values.append(None if length < 0 else body[offset : offset + length])
        offset += max(length, 0)
    return tuple(values)


def row_description(body: bytes) -> list[tuple[str, int, int]]:
    """(name, type OID, format) of each column of a RowDescription."""
    (count,) = struct.unpack_from("!h", body)
    columns = []
    offset = 2
    for _ in range(count):
        end = body.index(b"\0", offset)
        name = body[offset:end].decode()
        _, _, oid, _, _, code = struct.unpack_from("!ihihih", body, end + 1)
        columns.append((name, oid, code))
        offset = end + 19
    return columns


def message(tag: str, body: bytes = b"") -> bytes:
    """A frontend message."""
    return tag.encode() + struct.pack("!i", len(body) + 4) + body


class RawClient:
    """One connection. Trust and SCRAM-SHA-256 only."""

    before = b""  # what a subclass sends before anything else

    def __init__(self, host: str, port: int, user: str, database: str, password: str = "", **parameters: str) -> None:
        self.socket = self.connected(host, port)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.parameters: dict[str, str] = {}
        self.key = (0, b"")
        startup = {"user": user, "database": database, **parameters}
        body = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in startup.items()) + b"\0"
        self.socket.sendall(self.before + struct.pack("!ii", len(body) + 8, 196608) + body)
        self.greeting = self._log_in(password)

    @staticmethod
    def connected(host: str, port: int) -> socket.socket:
        """The socket; a subclass may have one of its own kind."""
        return socket.create_connection((host, port), TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with suppress(OSError):
            self.socket.sendall(b"X\0\0\0\4")
        self.socket.close()

    def send(self, tag: str, body: bytes = b"") -> None:
        """One message. ConnectionError, which tells what the other side said last, where it has hung up."""
        self._write(message(tag, body))

    def receive(self) -> Message | None:
        """The next message, or None when the server hung up."""
        while len(self.buffer) < 5 or len(self.buffer) < 1 + struct.unpack_from("!i", self.buffer, 1)[0]:
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self.buffer += data
        (length,) = struct.unpack_from("!i", self.buffer, 1)
        message = Message(chr(self.buffer[0]), self.buffer[5 : 1 + length])
        self.buffer = self.buffer[1 + length :]
        return message

    def collect(self, until: str = "Z") -> Exchange:
        """Receives until one of the message types in `until`, or the end."""
        exchange = Exchange()
        while (message := self.receive()) is not None:
            exchange.messages.append(message)
            if message.tag == "S":
                name, value, _ = message.body.split(b"\0")
                self.parameters[name.decode()] = value.decode()
            if message.tag in until:
                return exchange
        exchange.closed = True
        return exchange

    def simple(self, text: str | bytes) -> Exchange:
        """One Query message. Stops early at CopyInResponse: the caller feeds the data."""
        self.send("Q", (text.encode() if isinstance(text, str) else text) + b"\0")
        return self.collect("ZG")

    def extended(self, text: str | bytes, values: Sequence[bytes | None] = (), types: Sequence[int] = ()) -> Exchange:
        """Parse, Bind, Describe, Execute, Sync in one write, all in text format."""
        query = text.encode() if isinstance(text, str) else text
        parse = b"\0" + query + b"\0" + struct.pack(f"!h{len(types)}i", len(types), *types)
        bind = b"\0\0" + struct.pack("!hh", 0, len(values))
        for value in values:
            bind += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
        bind += struct.pack("!h", 0)
        parts = [("P", parse), ("B", bind), ("D", b"P\0"), ("E", b"\0" + struct.pack("!i", 0)), ("S", b"")]
        self._write(b"".join(message(*part) for part in parts))
        return self.collect("ZG")

    def copy_data(self, data: bytes, *, sync: bool = False) -> Exchange:
        """Feeds a COPY FROM STDIN that was begun, and ends it."""
        self.send("d", data)
        self.send("c")
        if sync:
            self.send("S")
        return self.collect()

    def _write(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except ConnectionError as error:
            said = [*getattr(self, "greeting", Exchange()).errors, *self.collect("").errors]
            raise type(error)(f"the server had hung up; it said {said}") from error

    def _log_in(self, password: str) -> Exchange:
        greeting = Exchange()
        scram: _Scram | None = None
        while (message := self.receive()) is not None:
            greeting.messages.append(message)
            if message.tag == "R":
                (code,) = struct.unpack_from("!i", message.body)
                if code == 10:
                    scram = _Scram(password)
                    first = scram.first()
                    self.send("p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
                elif code == 11 and scram is not None:
                    self.send("p", scram.final(message.body[4:]))
            elif message.tag == "S":
                name, value, _ = message.body.split(b"\0")
                self.parameters[name.decode()] = value.decode()
            elif message.tag == "K":
                self.key = (struct.unpack_from("!i", message.body)[0], message.body[4:])
            elif message.tag == "E":
                break
            elif message.tag == "Z":
                return greeting
        greeting.closed = True
        return greeting


class _Scram:
    """RFC 5802's client, without channel binding."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.nonce = base64.b64encode(os.urandom(18)).decode()

    def first(self) -> bytes:
        return f"n,,n=,r={self.nonce}".encode()

    def final(self, challenge: bytes) -> bytes:
        given = dict(part.split("=", 1) for part in challenge.decode().split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(given["s"]), int(given["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c=biws,r={given['r']}"
        message = f"n=,r={self.nonce},{challenge.decode()},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()
