"""BackendState: what one server connection has that another has not.

Settings applied, statements prepared, reasons why it must stay with a session, whether it must be closed at check-in.
Pure: it sends nothing; it says what must be sent. The session notes effects here when the server confirmed them; the
pool reads `undo()` at check-in and calls `forget()` when DISCARD ALL went through. Whatever is unknown about a
connection makes it tainted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from types import MappingProxyType

IDLE = 73  # ord("I"): ReadyForQuery's transaction status
IN_TRANSACTION = 84  # ord("T")
FAILED = 69  # ord("E")

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

StatementKey = tuple[bytes, tuple[int, ...], Hashable]
"""The text as sent to the server, the parameter types of Parse, and what else its meaning was made of."""

# Reported by the server (protocol-flow, "Asynchronous Operations") and never to change during a connection's life.
PINNED_PARAMETERS = ("client_encoding", "standard_conforming_strings", "is_superuser", "session_authorization")


PARAMETERS = 500  # names that a server may report; a real one has some twenty


class BackendState:
    """One server connection. `parameters` are the ParameterStatus values as reported so far; the caller's dict is
    kept, not copied.
    """

    __slots__ = (
        "drawn", "leftover", "limit", "own", "parameters", "pinned", "pins", "prepared", "process_id", "reported",
        "secret_key", "serial", "settings", "status", "tainted", "unnamed",
    )  # fmt: skip

    def __init__(self, process_id: int, secret_key: bytes, parameters: dict[str, str], limit: int = 200) -> None:
        self.process_id = process_id
        self.secret_key = secret_key
        self.parameters = parameters
        self.reported = set(parameters)  # names, since news() was asked
        self.own: dict[str, str] = {}  # the server's own defaults, as news() told them
        self.pinned = {name: parameters[name] for name in PINNED_PARAMETERS if name in parameters}
        self.settings: Mapping[str, str] = NO_SETTINGS  # applied with SET and committed; replaced whole, never edited
        self.prepared: OrderedDict[StatementKey, bytes] = (
            OrderedDict()
        )  # least recently used first -> name at the server
        self.leftover: list[bytes] = []  # names at the server that are of no use any more
        self.unnamed: StatementKey | None = None  # what the server's unnamed statement holds
        self.pins: set[str] = set()
        self.drawn = False  # currval() may know a number of this session's
        self.tainted: str | None = None  # why the connection must be closed at check-in
        self.status = IDLE
        self.serial = 0  # of the last name made
        self.limit = limit  # prepared statements kept at most

    def taint(self, reason: str) -> None:
        """The connection must not serve another transaction. The first reason is kept."""
        if self.tainted is None:
            self.tainted = reason

    def parameter(self, name: str, value: str) -> bool:
        """Note a ParameterStatus. False when a pinned parameter changed: the connection is tainted and its lease must
        end.
        """
        self.parameters[name] = value
        self.reported.add(name)
        if len(self.parameters) > PARAMETERS:
            self.taint("parameters without an end")
            return False
        if name in self.pinned and self.pinned[name] != value:
            self.taint(f"{name} changed")
            return False
        return True

    def news(self) -> dict[str, str]:
        """Which of the server's own defaults are others than the last time: what was reported since, without what the
        settings applied decide. Asked while the connection is idle.
        """
        names, self.reported = self.reported, set()
        decided = {name.lower() for name in self.settings}
        now = {name: self.parameters[name] for name in names if name.lower() not in decided}
        found = {name: value for name, value in now.items() if self.own.get(name) != value}
        self.own.update(found)
        return found

    def name_of(self, key: StatementKey) -> bytes | None:
        """The server's name for a prepared statement, now the most recently used; None when it is not prepared here."""
        name = self.prepared.get(key)
        if name is not None:
            self.prepared.move_to_end(key)
        return name

    def prepare(self, key: StatementKey) -> bytes:
        """A fresh name for a statement that is being prepared."""
        self.serial += 1
        name = b"pw_%08d" % self.serial
        self.prepared[key] = name
        return name

    def surplus(self) -> list[bytes]:
        """Names of no use and beyond the limit, least recently used first; the caller sends Close for each. Usually
        empty.
        """
        names, self.leftover = self.leftover, []
        while len(self.prepared) > self.limit:
            names.append(self.prepared.popitem(last=False)[1])
        return names

    def unprepare(self, key: StatementKey) -> bytes | None:
        """Forget one statement, because its Parse failed or its plan went stale; the name it had."""
        return self.prepared.pop(key, None)

    def retire(self, key: StatementKey) -> None:
        """What is prepared of it went stale; its name is closed with the next surplus."""
        name = self.prepared.pop(key, None)
        if name is not None:
            self.leftover.append(name)

    def undo(self) -> bytes | None:
        """SQL that check-in must run before another session of the same owner may use the connection; None in the
        common case.

        Settings and prepared statements need none: the next session applies the difference and knows statements by
        their text.
        """
        if self.pins:
            return b"DISCARD ALL"
        return b"DISCARD SEQUENCES" if self.drawn else None

    def forget(self) -> None:
        """DISCARD ALL went through: nothing of any session is left."""
        self.settings = NO_SETTINGS
        self.prepared.clear()
        self.leftover.clear()
        self.unnamed = None
        self.pins.clear()
        self.drawn = False
