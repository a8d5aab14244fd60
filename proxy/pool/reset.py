"""What happens to a connection between two leases: undoing, DISCARD ALL between tenants, the watch while it is idle.

Each of these reads every message and allows few; whatever else comes, a refusal above all, means that the connection is
not what it should be, and it is destroyed. Nothing here waits without a limit.
"""

from __future__ import annotations

import asyncio

from proxy.backend.state import IDLE
from proxy.errors import ConnectionFailure, RemoteProtocolError
from proxy.pool.connect import require_pinned
from proxy.pool.connection import NOBODY, ServerConnection
from proxy.wire.backend import ParameterStatus, ReadyForQuery
from proxy.wire.framing import kinds
from proxy.wire.frontend import Query
from proxy.wire.streams import BackendStream

DISCARD = b"DISCARD ALL"
RESET_TIMEOUT = 10.0  # seconds

_UNDOING = kinds(relayed=b"", watched=b"ZCINSEA")
_IDLING = kinds(relayed=b"", watched=b"NSE")


async def undo(connection: ServerConnection, sql: bytes, timeout: float = RESET_TIMEOUT) -> None:
    """Run `sql`, which must be known to return no rows, and see the connection idle again; `timeout` in seconds.

    ConnectionFailure when anything else happens: then the connection must be closed.
    """
    work = _Undoing(connection)
    connection.receiver = work
    connection.write(Query(sql).encode())
    try:
        async with asyncio.timeout(timeout):
            await work.finished
    except TimeoutError as error:
        raise ConnectionFailure("the server connection could not be cleaned in time") from error
    finally:
        connection.receiver = NOBODY
    if work.pending:  # whoever reads next would begin in the middle of it
        connection.state.taint("half a message behind the answer")
    connection.state.unnamed = None  # any Query ends the server's unnamed statement
    if sql == DISCARD:
        connection.state.forget()
    if sql:
        connection.state.drawn = False


async def discard(connection: ServerConnection, timeout: float = RESET_TIMEOUT) -> None:
    """Take everything of its sessions off the connection, so that it may serve another tenant.

    The pinned and the tenant's start-up parameters are the session's defaults and come back by themselves; that they
    did is checked. ConnectionFailure: the connection must be closed.
    """
    await undo(connection, DISCARD, timeout)
    if connection.state.tainted is not None:
        raise ConnectionFailure(f"the server connection is tainted: {connection.state.tainted}")
    require_pinned(connection.state.parameters, connection.server.role)


async def check(connection: ServerConnection, timeout: float) -> None:
    """See that the server answers, by an empty query; `timeout` in seconds. ConnectionFailure: it must be closed."""
    await undo(connection, b"", timeout)
    if connection.state.tainted is not None:
        raise ConnectionFailure(f"the server connection is tainted: {connection.state.tainted}")


class _Undoing:
    """Reads the answer to one Query without rows."""

    def __init__(self, connection: ServerConnection) -> None:
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pending = 0  # bytes of a message that is not whole, as IdleWatch's
        self._connection = connection
        self._stream = BackendStream(_UNDOING)

    def backend_data(self, data: bytes) -> None:
        try:
            run, marks = self._stream.feed(data)
            self.pending += len(data) - len(run)
            for tag, start, end in marks:
                self._message(tag, run[start + 5 : end])
        except (ConnectionFailure, RemoteProtocolError) as error:
            self._fail(error.message)

    def _message(self, tag: int, body: bytes) -> None:
        if tag == ord("S"):
            status = ParameterStatus.decode(body)
            if not self._connection.state.parameter(status.name, status.value):
                self._fail(f"{status.name} changed")
        elif tag == ord("N") or (tag == ord("A") and self._connection.state.pins):
            return  # what a session that has gone would have heard is nobody's
        elif self.finished.done():
            self._fail("an answer that nobody waits for")
        elif tag == ord("A"):
            self._fail("a notification that nobody listens to")
        elif tag == ord("E"):
            self._fail("the server connection could not be cleaned")
        elif tag == ord("Z"):
            if ReadyForQuery.decode(body).status != IDLE:
                self._fail("the server connection could not be cleaned")
            else:
                self.finished.set_result(None)

    def _fail(self, reason: str) -> None:
        self._connection.state.taint(reason)
        if not self.finished.done():
            self.finished.set_exception(ConnectionFailure(reason))

    def backend_lost(self, reason: str) -> None:
        self._fail(reason)

    def backend_writable(self, writable: bool) -> None: ...


class IdleWatch:
    """Reads an idle connection. A changed parameter is noted; the server's goodbye, or anything else, ends it."""

    __slots__ = ("_connection", "_stream", "pending")

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._stream = BackendStream(_IDLING)
        self.pending = 0  # bytes of a message that is not whole: it must not be leased in the middle of one

    def backend_data(self, data: bytes) -> None:
        """Bytes that no lease asked for."""
        state = self._connection.state
        try:
            run, marks = self._stream.feed(data)
            self.pending += len(data) - len(run)
            for tag, start, end in marks:
                if tag == ord("S"):
                    status = ParameterStatus.decode(run[start + 5 : end])
                    state.parameter(status.name, status.value)
                elif tag == ord("E"):
                    state.taint("the server ended the connection")
        except RemoteProtocolError as error:
            state.taint(error.message)
        if state.tainted is not None:
            self._connection.abort()

    def backend_lost(self, reason: str) -> None:
        """The pool knows already."""

    def backend_writable(self, writable: bool) -> None:
        """Nothing is being written."""
