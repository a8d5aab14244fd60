"""Objects of a session that live on its server connection, and for which that connection must stay: cursors WITH HOLD.

They are noted when the server confirmed the statement, and vanish with the transaction or savepoint that they were
made in. A cursor that was closed stays closed. Pure bookkeeping, beside the settings and undone with them
(parameters.py). Source: PostgreSQL documentation, DECLARE, Notes.
"""

from __future__ import annotations

from proxy.sql.plan import Effects

Snapshot = frozenset[str]


class Objects:
    """`held`: the names of cursors WITH HOLD."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: frozenset[str] = frozenset()

    def note(self, effects: Effects) -> None:
        """A statement completed."""
        cursor = effects.declares
        if cursor is not None and cursor.hold:
            self.held |= {cursor.name}
        if effects.closes is not None:
            self.held -= {effects.closes} if effects.closes else self.held

    def snapshot(self) -> Snapshot:
        """What restore() goes back to."""
        return self.held

    def restore(self, before: Snapshot) -> None:
        """What was made since is gone; what was closed since does not come back."""
        self.held &= before

    def clear(self) -> None:
        """DISCARD ALL."""
        self.held = frozenset()

    @property
    def reasons(self) -> dict[str, bool]:
        """For each reason to keep the connection: is it there?"""
        return {"cursor": bool(self.held)}
