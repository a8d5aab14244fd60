"""Named and unnamed statements and portals: they belong to the session, whichever server connection serves it.

A server connection knows a statement under a name of the proxy's (BackendState.prepared); the client's names never
reach it, so they cannot collide. Portals keep the client's names: they live no longer than the transaction, and the
lease lasts as long.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from proxy.backend.state import StatementKey
from proxy.sql.plan import Answer, Forward
from proxy.tenancy.policy import UNCLASSED

# What constants are read by when a statement is prepared: timestamptz '2026-01-01', for one.
READ_BY = ("array_nulls", "datestyle", "intervalstyle", "lc_monetary", "timezone", "xmloption")


def read_by(settings: Mapping[str, str], version: int) -> Hashable:
    """What the meaning of a text that is prepared now depends on; `version` of the database's schema."""
    if settings:
        return (version, *(settings.get(name) for name in READ_BY))
    return version


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
    about: Hashable = ()  # what its meaning at the server was made of, besides (read_by)
    asked: bytes = field(default=b"", compare=False)  # short.py: the client's Parse, and the one `sent` for it
    sent: bytes = field(default=b"", compare=False)
    settings: object = field(default=None, compare=False)  # the session's at that time
    paid: bool = field(default=False, compare=False)  # its Parse was counted, and nothing was bound of it yet
    key: StatementKey = field(init=False)

    def __post_init__(self) -> None:
        self.key = (self.sql, self.parameter_types, self.about)


@dataclass(slots=True)
class Portal:
    """What Bind defined: the statement it runs, how many bytes it said, and the reply that it waits for. counted: as
    which class of statements, and paid: its Bind was counted, and it was not executed yet.
    """

    statement: Statement
    size: int = 0
    bound: object = None
    counted: int = UNCLASSED
    paid: bool = False
    values: tuple[bytes | None, ...] = ()  # of its parameters, as text, where an error may have to tell of them
