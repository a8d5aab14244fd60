"""The one door to asyncpg: a connection for reading catalogs, with every setting that could bend a query pinned.

`search_path` holds pg_catalog alone (temporary objects last), so that no name of a user is ever found; read only;
bounded in time. Nothing is taken from PG* environment variables, service files, ~/.pgpass or ~/.postgresql. What a
connection is used for stands in introspect.py and facts.py.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from proxy.catalog.tls import TlsOptions, tls_context
from proxy.errors import ConfigurationError, UnsupportedServer

if TYPE_CHECKING:
    from asyncpg import Connection, Record

    CatalogConnection = Connection[Record]

OLDEST, NEWEST = 14, 18  # majors of PostgreSQL

SETTINGS = {
    "search_path": "pg_catalog, pg_temp",
    "application_name": "partywall catalog",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "30s",
    "lock_timeout": "5s",  # pg_get_viewdef locks what it prints
    "idle_in_transaction_session_timeout": "30s",
    "jit": "off",  # compiling costs more than these queries
    "TimeZone": "UTC",
}


class ServerAddress(Protocol):
    """What tenancy.policy.Server has."""

    @property
    def database(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def addresses(self) -> Sequence[tuple[str, int]]: ...
    @property
    def targets(self) -> Sequence[str]: ...


class ServerCredentials(TlsOptions, Protocol):
    """What tenancy.policy.Credentials has."""

    @property
    def password(self) -> str | None: ...
    @property
    def direct_tls(self) -> bool: ...


def require_supported(server_version: int, place: str) -> None:
    """UnsupportedServer unless `server_version` (server_version_num, such as 150018) is of PostgreSQL 14 to 18."""
    major = server_version // 10000
    if not OLDEST <= major <= NEWEST:
        problem = f"{place}: PostgreSQL {major} is not supported; supported are PostgreSQL {OLDEST} to {NEWEST}"
        raise UnsupportedServer([problem], major)


async def connect(
    server: ServerAddress,
    credentials: ServerCredentials,
    timeout: float = 10.0,
    settings: Mapping[str, str] = SETTINGS,
    command_timeout: float | None = 60.0,
) -> CatalogConnection:
    """A pinned connection; `timeout` in seconds, for each of the server's addresses; `command_timeout` in seconds, for
    each command.

    Errors: asyncpg.PostgresError, OSError, TimeoutError; UnsupportedServer for one whose version is not one of 14 to
    18, ConfigurationError for TLS settings that cannot be used.
    """
    failure: Exception = ConnectionError("could not connect to the server")
    for target in server.targets:
        for host, port in server.addresses:
            try:
                connection = await _connect(server, credentials, host, port, timeout, settings, command_timeout)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                failure = error
                continue
            if _fit(connection, target):
                return connection
            await connection.close()
            failure = ConnectionError(f"{host}:{port} is not {target}")
    raise failure


def _fit(connection: CatalogConnection, target: str) -> bool:
    """Is it a server that target_session_attrs asks for? A catalog reads alike where only the default is read only."""
    standby = getattr(connection.get_settings(), "in_hot_standby", "off") == "on"
    return target in {"any", "read-only"} or standby is (target == "standby")


async def _connect(
    server: ServerAddress,
    credentials: ServerCredentials,
    host: str,
    port: int,
    timeout: float,
    settings: Mapping[str, str],
    command_timeout: float | None,
) -> CatalogConnection:
    context = None if host.startswith("/") else tls_context(credentials)
    try:
        connection = await _open(server, credentials, host, port, timeout, context, settings, command_timeout)
    except ConnectionError:  # among others: the server speaks no TLS
        if context is None or credentials.tls != "prefer":
            raise
        connection = await _open(server, credentials, host, port, timeout, None, settings, command_timeout)
    try:
        require_supported(connection.get_server_version().major * 10000, f"{host}:{port}/{server.database}")
    except ConfigurationError:
        await connection.close()
        raise
    return connection


async def _open(
    server: ServerAddress,
    credentials: ServerCredentials,
    host: str,
    port: int,
    timeout: float,
    context: ssl.SSLContext | None,
    settings: Mapping[str, str],
    command_timeout: float | None,
) -> CatalogConnection:
    """Everything is said that asyncpg would look up in the environment; its own `prefer` would look for files, too."""
    connection: CatalogConnection = await asyncpg.connect(
        host=host,
        port=port,
        user=server.role,
        password=credentials.password or "",
        database=server.database,
        ssl=False if context is None else context,
        direct_tls=credentials.direct_tls and context is not None,
        target_session_attrs=SessionAttribute.any,
        krbsrvname="postgres",
        gsslib="gssapi",
        timeout=timeout,
        command_timeout=command_timeout,
        server_settings=dict(settings),
    )
    return connection
