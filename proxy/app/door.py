"""The doors that an operator has to a process: the control socket in the state directory, and the HTTP pages."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from proxy.admin.arrival import Tls
from proxy.admin.http import AdminServer, Pages
from proxy.fleet.channel import ControlDoor, Handler
from proxy.observe.log import get_logger
from proxy.server.unixsocket import UnixSocket
from proxy.settings import Settings

CONTROL = "control.sock"  # in the state directory
OWNER = 0o600


@dataclass(slots=True)
class Doors:
    """Open from `start` to `close`. OSError when another process has this state directory, or an address is taken."""

    settings: Settings
    handler: Handler
    metrics: Callable[[], Awaitable[bytes]]
    unready: Callable[[], str | None]
    tls: Tls = lambda: None  # the certificate for who comes by https
    inherited: socket.socket | None = None  # a worker's control door; it has no pages
    admin_port: int = 0
    _control: ControlDoor | None = None
    _socket: UnixSocket | None = field(default=None)
    _admin: AdminServer | None = None

    async def start(self) -> None:
        """Opens both."""
        settings = self.settings
        self._control = ControlDoor(self.handler, get_logger("control"))
        if self.inherited is not None:
            await self._control.start(self.inherited)
            return
        settings.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._socket = UnixSocket(settings.state_directory / CONTROL, OWNER, ceded=True)
        await self._control.start(self._socket.listening)
        token = settings.admin_token
        pages = Pages(
            metrics=self.metrics,
            unready=self.unready,
            control=self.handler,
            token=None if token is None else token.get_secret_value(),
            tls=self.tls,
        )
        self._admin = AdminServer(pages)
        self.admin_port = await self._admin.start(settings.admin_listen.host, settings.admin_listen.port)

    def cede(self) -> None:
        """The next process may have the state directory; this one still answers until then."""
        if self._socket is not None:
            self._socket.cede()

    async def close(self) -> None:
        """Closes both."""
        if self._control is not None:
            await self._control.close()
        if self._socket is not None:
            self._socket.close()
        if self._admin is not None:
            await self._admin.close()
