"""Named and unnamed statements and portals: they belong to the session, whichever server connection serves it.

A server connection knows a statement under a name of the proxy's (BackendState.prepared); the client's names never
reach it, so they cannot collide. Portals keep the client's names: they live no longer than the transaction, and the
lease lasts as long.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.backend.state import StatementKey
from proxy.sql.plan import Answer, Forward


@dataclass(slots=True)
class Statement:
    """What Parse or PREPARE defined. `sql` is what the server gets; empty for an Answer. `epoch` says under which rules
    it was planned. `at`: which statement of its text the PREPARE is; None for Parse.
    """

    text: bytes
    parameter_types: tuple[int, ...]
    plan: Forward | Answer
    sql: bytes
    epoch: object
    at: int | None = None
    literals: tuple[bytes, ...] = ()  # of its text
    asked: bytes = field(default=b"", compare=False)  # short.py: the client's Parse, and the one `sent` for it
    sent: bytes = field(default=b"", compare=False)
    key: StatementKey = field(init=False)

    def __post_init__(self) -> None:
        self.key = (self.sql, self.parameter_types)


@dataclass(frozen=True, slots=True)
class Portal:
    """What Bind defined: the statement it runs, and how many bytes it said."""

    statement: Statement
    size: int = 0
