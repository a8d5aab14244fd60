"""Lease: one server connection lent to one session, given back once."""

from __future__ import annotations

from proxy.pool.connection import ServerConnection
from proxy.tenancy.policy import Grant

Settings = frozenset[tuple[str, str]]

_NONE: Settings = frozenset()


def settings_of(grant: Grant) -> Settings:
    """The grant's start-up settings as part of a pool's key: connections with others are not its."""
    return frozenset(grant.settings.items()) if grant.settings else _NONE


class Lease:
    """Lent until `Pools.release`."""

    __slots__ = ("connection", "ended", "grant")

    def __init__(self, connection: ServerConnection, grant: Grant) -> None:
        self.connection = connection
        connection.lent = grant
        self.grant = grant
        self.ended = False

    def end(self) -> ServerConnection:
        """The connection, back; RuntimeError the second time, because somebody else may have it by then."""
        if self.ended:
            raise RuntimeError("a lease was released twice")
        self.ended = True
        return self.connection
