"""Objects of a session that are undone with its transactions: cursors WITH HOLD and temporary tables, which live on its
server connection and for which that must stay; and the channels that it listens to.

They are noted when the server confirmed the statement, and vanish with the transaction or savepoint that they were
made in; a cursor that was closed stays closed. What is on its way to the server counts for planning already. Pure
bookkeeping, beside the settings and undone with them (parameters.py). Source: PostgreSQL documentation, DECLARE, Notes.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.sql.plan import Effects, Temporary

Channels = tuple[str, ...]
Snapshot = tuple[frozenset[str], Mapping[str, Temporary], Channels]


class Objects:
    """`held`: the names of cursors WITH HOLD; `tables`: temporary tables by name; `sent`: those that are being made;
    `channels`: what is listened to if the transaction commits; `heard`: what is committed.
    """

    __slots__ = ("channels", "heard", "held", "sent", "tables")

    def __init__(self) -> None:
        self.held: frozenset[str] = frozenset()
        self.tables: Mapping[str, Temporary] = {}
        self.sent: Mapping[str, Temporary] = {}
        self.channels: Channels = ()
        self.heard: Channels = ()

    def send(self, table: Temporary) -> None:
        """A statement that makes a table is being sent."""
        self.sent = {**self.sent, table.name: table}

    def note(self, effects: Effects) -> None:
        """A statement completed."""
        cursor = effects.declares
        if cursor is not None and cursor.hold:
            self.held |= {cursor.name}
        if effects.closes is not None:
            self.held -= {effects.closes} if effects.closes else self.held
        if effects.drops:
            gone = self.tables if "" in effects.drops else effects.drops
            self.tables = {name: one for name, one in self.tables.items() if name not in gone}
        if effects.creates is not None:
            made = effects.creates
            self.tables = {**self.tables, made.name: made}
            self.sent = {name: one for name, one in self.sent.items() if name != made.name}

    def listen(self, channel: str) -> None:
        """LISTEN."""
        if channel not in self.channels:
            self.channels = (*self.channels, channel)

    def unlisten(self, channel: str) -> None:
        """UNLISTEN; "": of all."""
        self.channels = tuple(one for one in self.channels if channel not in ("", one))

    def snapshot(self) -> Snapshot:
        """What restore() goes back to."""
        return self.held, self.tables, self.channels

    def restore(self, before: Snapshot) -> None:
        """What was made since is gone, tables that were dropped are back; what was closed is not."""
        self.held &= before[0]
        self.tables = before[1]
        self.channels = before[2]

    def roll_back(self, before: Snapshot) -> None:
        """The whole transaction, whose first statement found `before`."""
        self.restore(before)
        self.channels = self.heard

    def commit(self) -> None:
        """The transaction is committed: tables that end with it are gone."""
        if any(one.drops for one in self.tables.values()):
            self.tables = {name: one for name, one in self.tables.items() if not one.drops}
        self.heard = self.channels

    def clear(self) -> None:
        """DISCARD ALL, or another connection; what is listened to does not depend on that."""
        self.held, self.tables, self.sent = frozenset(), {}, {}

    @property
    def known(self) -> tuple[Temporary, ...]:
        """The tables that a statement which is planned now can name."""
        return tuple({**self.tables, **self.sent}.values()) if self.sent else tuple(self.tables.values())

    @property
    def reasons(self) -> dict[str, bool]:
        """For each reason to keep the connection: is it there?"""
        return {"cursor": bool(self.held), "temp_table": bool(self.tables)}
