"""A session without sockets: bytes in by hand, bytes and actions out to a recorder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pytest

from proxy.auth.scram import SaltedPasswords, ScramClient
from proxy.backend.state import BackendState
from proxy.errors import Refusal
from proxy.session.actions import Action, CloseFrontend, FindLogin, LoginRefused, WeighProof
from proxy.session.encode import fields_of
from proxy.session.events import LoginFound, ProofWeighed
from proxy.session.ports import Later
from proxy.session.session import ClientSession
from proxy.sql.plan import Forward, Planned, Temporary
from proxy.tenancy.policy import Grant
from proxy.wire.fields import message
from tests.kit.builders import PARSED, PASSWORD, fill_whole, grant, plan_text

REPORTED = {"client_encoding": "UTF8", "standard_conforming_strings": "on", "TimeZone": "UTC"}
NOTHING: Mapping[str, str] = MappingProxyType({})
READY = b"Z\0\0\0\5"
DERIVED: SaltedPasswords = {}  # what is slow to derive, once
# The server's answer to a DISCARD ALL of a session that has a connection of its own.
DISCARDED = b"1\0\0\0\0042\0\0\0\4" + message(67, b"DISCARD ALL\0") + b"3\0\0\0\4" + READY + b"I"


@dataclass
class Link:
    """A server connection that only remembers."""

    state: BackendState
    receiver: Any = None
    written: bytes = b""

    def write(self, data: bytes) -> None:
        self.written += data


@dataclass
class Lease:
    connection: Link


@dataclass
class Door:
    """The session's Port. `free`: the connections that are idle; `cached` False makes every text wait for its plan."""

    free: list[Link] = field(default_factory=list)
    cached: bool = True
    planned: dict[bytes, Planned] = field(default_factory=dict)  # instead of what plan_text makes of a text
    reported: Mapping[str, str] | None = field(default_factory=lambda: dict(REPORTED))
    refusal: Refusal | Later | None = None
    known: tuple[Temporary, ...] = ()
    written: bytes = b""
    actions: list[Action] = field(default_factory=list)
    released: list[tuple[Link, bool, bool]] = field(default_factory=list)
    channels: tuple[str, ...] = ()
    schema: int = 1
    notified: list[int] = field(default_factory=list)
    foreign: set[int] = field(default_factory=set)  # processes of the server's from which others notified last
    given_up: tuple[str, ...] = ()
    writable: bool = True
    label: str = ""

    def write(self, data: bytes) -> None:
        self.written += data

    def missing(self, name: str, kind: str, direct: bool) -> Refusal | None:
        return Refusal(f'relation "{name}" does not exist', sqlstate="42P01") if name == "hidden" else None

    def lookup(self, text: bytes, parameter_types: tuple[int, ...] = (), extended: bool = False) -> Planned | None:
        return self.planned.get(text) or (plan_text(text) if self.cached else None)

    def follow(self) -> None: ...

    def lease_nowait(self) -> Lease | None:
        return Lease(self.free.pop()) if self.free else None

    def release(self, lease: Any, destroy: bool, cancel: bool) -> None:
        self.released.append((lease.connection, destroy, cancel))
        if not destroy:
            self.free.append(lease.connection)

    def act(self, action: Action) -> None:
        self.actions.append(action)

    def answer(self, fields: dict[str, str], plan: Forward | None, text: bytes) -> dict[str, str]:
        return fields

    def know(self, temporary: tuple[Temporary, ...]) -> None:
        self.known = temporary

    def allowed_setting(self, name: str, value: str) -> bool:
        return name != "role"

    def parameters(self, settings: Mapping[str, str]) -> Mapping[str, str] | None:
        return self.reported

    def admit(self, grant: Grant) -> Refusal | Later | None:
        return self.refusal

    def listening(self, names: tuple[str, ...]) -> None:
        self.channels = names

    def notifying(self, process_id: int) -> None:
        self.notified.append(process_id)
        self.foreign.discard(process_id)

    def untold(self, process_id: int) -> bool:
        return process_id in self.foreign

    def version(self) -> int:
        return self.schema

    def altered(self) -> None:
        self.schema += 1

    def notifier(self, process_id: int) -> int:
        return 1234 if process_id == 99 else 2**31 - 1

    def unsubscribe(self, channels: tuple[str, ...]) -> None:
        self.given_up += channels

    def fill(self, plan: Forward, literals: tuple[bytes, ...], text: bytes) -> bytes:
        return fill_whole(plan, literals)

    def renew(self) -> Link:
        """Another connection is the idle one from now on."""
        self.free = [link()]
        return self.free[0]

    def take(self) -> bytes:
        """What was written to the client since."""
        data, self.written = self.written, b""
        return data

    def asked(self, kind: type[Action]) -> list[Any]:
        """The actions of one kind, taken away."""
        found = [one for one in self.actions if isinstance(one, kind)]
        self.actions = [one for one in self.actions if not isinstance(one, kind)]
        return found


def link() -> Link:
    """A connection as the pool lends it."""
    return Link(BackendState(7, b"four", dict(REPORTED)))


def packet(version: int = 196608, /, **parameters: str) -> bytes:
    """A StartupMessage."""
    words = b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in parameters.items())
    return (len(words) + 9).to_bytes(4, "big") + version.to_bytes(4, "big") + words + b"\0"


def query(text: str) -> bytes:
    return message(81, text.encode() + b"\0")


def complete(tag: str, status: str = "I") -> bytes:
    """CommandComplete and ReadyForQuery."""
    return message(67, tag.encode() + b"\0") + READY + status.encode()


def failed(code: str, status: str = "E") -> bytes:
    """ErrorResponse and ReadyForQuery."""
    return message(69, f"SERROR\0VERROR\0C{code}\0Mno\0\0".encode()) + READY + status.encode()


def kinds(data: bytes) -> str:
    """The type bytes of whole messages."""
    found = ""
    while data:
        found += chr(data[0])
        data = data[1 + int.from_bytes(data[1:5], "big") :]
    return found


def refused(door: Door) -> dict[str, str]:
    """The one error that ended the session, which the log was told as well."""
    written = door.take()
    while written and written[:1] != b"E":
        written = written[1 + int.from_bytes(written[1:5], "big") :]
    fields = fields_of(written[5:])
    assert fields["S"] == "FATAL"
    (told,) = door.asked(LoginRefused)
    assert told.refusal.sqlstate == fields["C"]
    assert door.asked(CloseFrontend)
    return fields


def give_proof(
    session: ClientSession, door: Door, found: LoginFound, password: str, asked_for: Mapping[str, str] = NOTHING
) -> None:
    """The exchange as a driver does it, up to the proof."""
    session.data(packet(user="alice", database="test", **asked_for))
    (asked,) = door.asked(FindLogin)
    assert (asked.user, asked.database) == ("alice", "test")
    session.handle(found)
    client = ScramClient(password, b"nonce-of-the-client-00001", DERIVED)
    first = client.first()
    door.take()
    session.data(message(112, b"SCRAM-SHA-256\0" + len(first).to_bytes(4, "big") + first))
    session.data(message(112, client.final(door.take()[9:])))


def log_in(
    session: ClientSession,
    door: Door,
    password: str = PASSWORD,
    granted: Grant | None = None,
    asked_for: Mapping[str, str] = NOTHING,
) -> None:
    """The whole exchange; the session is ready afterwards if the password was right. asked_for: settings."""
    found = LoginFound(PARSED, b"nonce-of-the-tests-000001", granted or grant())
    give_proof(session, door, found, password, asked_for)
    if door.asked(WeighProof):
        session.handle(ProofWeighed())


@pytest.fixture
def door() -> Door:
    return Door(free=[link()])


@pytest.fixture
def fresh(door: Door) -> ClientSession:
    """A session that has heard nothing yet."""
    return ClientSession(door, process_id=42, secret_key=b"key!" * 8, clock=lambda: 0.0)


@pytest.fixture
def session(fresh: ClientSession, door: Door) -> ClientSession:
    """One that is logged in and idle; what the greeting wrote is taken away."""
    log_in(fresh, door)
    door.take()
    door.actions.clear()
    return fresh


Talk = Callable[[bytes, bytes], bytes]


@pytest.fixture
def talk(session: ClientSession, door: Door) -> Talk:
    """One exchange: the client's bytes, then the server's; what the client was told."""

    def exchange(sent: bytes, replied: bytes) -> bytes:
        if sent:
            session.data(sent)
        session.backend_data(replied)
        return door.take()

    return exchange
