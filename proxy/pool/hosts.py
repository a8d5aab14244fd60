"""Hosts: a server that stands at several addresses, of which one is wanted; which was good last is tried first.

Addresses are tried in the order of the rules, each with its own limit of time, until one lets the proxy in and is what
target_session_attrs asks for. What a server is, it says itself (in_hot_standby, default_transaction_read_only: since
PostgreSQL 14 reported at every log-in); a connection to one whose role changes later is not used any more.
Source: libpq documentation, "Specifying Multiple Hosts", target_session_attrs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from proxy.auth.scram import SaltedPasswords
from proxy.catalog.sockets import PEER_TIMEOUT
from proxy.errors import ConnectionFailure
from proxy.pool.connect import CONNECT_TIMEOUT, connect
from proxy.pool.connection import ServerConnection
from proxy.tenancy.policy import Address, Grant, Server

HOST_TIMEOUT = 3.0  # seconds for each, where there are several

STANDBY = "in_hot_standby"
READ_ONLY = "default_transaction_read_only"


class Hosts:
    """The addresses that were good last, by server. peer_timeout: seconds, as connect's."""

    def __init__(
        self,
        peer_timeout: float = PEER_TIMEOUT,
        timeout: float = CONNECT_TIMEOUT,
        host_timeout: float = HOST_TIMEOUT,
    ) -> None:
        self._peer_timeout = peer_timeout
        self._timeout = timeout
        self._host_timeout = host_timeout
        self._good: dict[Server, Address] = {}

    async def connect(self, grant: Grant, cache: SaltedPasswords | None = None) -> ServerConnection:
        """A connection logged in for this grant, at the first address that is what is wanted.

        ConnectionFailure when none is: of the last that was tried.
        """
        server = grant.server
        if not server.others:
            return await self._try(grant, (server.host, server.port), server.target, self._timeout, cache)
        failure = ConnectionFailure("could not connect to the server")
        for target in server.targets:
            for address in self._order(server):
                try:
                    found = await self._try(grant, address, target, self._host_timeout, cache)
                except ConnectionFailure as error:
                    failure = error
                    continue
                self._good[server] = address
                return found
        self._good.pop(server, None)
        raise failure

    def _order(self, server: Server) -> Iterator[Address]:
        good = self._good.get(server)
        if good is not None:
            yield good
        yield from (one for one in server.addresses if one != good)

    async def _try(
        self, grant: Grant, address: Address, target: str, timeout: float, cache: SaltedPasswords | None
    ) -> ServerConnection:
        place = replace(grant.server, host=address[0], port=address[1], others=(), target="any")
        connection = await connect(replace(grant, server=place), cache, timeout, self._peer_timeout)
        state = connection.state
        if not wanted(target, state.parameters):
            connection.close()
            raise ConnectionFailure("could not connect to the server", detail=f"No server is {target}.")
        if target != "any" and STANDBY in state.parameters:
            state.pinned[STANDBY] = state.parameters[STANDBY]
        return connection


def wanted(target: str, parameters: Mapping[str, str]) -> bool:
    """Is a server that reports this what target_session_attrs asks for?"""
    standby = parameters.get(STANDBY) == "on"
    read_only = standby or parameters.get(READ_ONLY) == "on"
    match target:
        case "read-write":
            return not read_only
        case "read-only":
            return read_only
        case "primary":
            return not standby
        case "standby":
            return standby
        case _:
            return True
