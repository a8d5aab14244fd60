"""The operator's HTTP door: /metrics, /healthz, /readyz on an address of its own, inside the proxy's event loop.

It takes no signals and no part in the proxy's work; a slow scraper holds up nobody. Reads only.
"""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from proxy.admin.metrics import Sources, registry


class _Server(uvicorn.Server):
    """uvicorn without its own idea of signals: the process's lifecycle has them."""

    def install_signal_handlers(self) -> None:
        """None."""


def application(sources: Sources) -> Starlette:
    """The ASGI application over these sources."""
    found = registry(sources)

    def metrics(_: Request) -> Response:
        return Response(generate_latest(found), media_type=CONTENT_TYPE_LATEST)

    def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    def readyz(_: Request) -> Response:
        reason = sources.unready()
        return PlainTextResponse(f"{reason or 'ready'}\n", 503 if reason else 200)

    async def on_loop(request: Request) -> Response:
        # Snapshots are taken on the loop: nothing changes while they are read, and no lock is needed.
        return {"/metrics": metrics, "/healthz": healthz, "/readyz": readyz}[request.url.path](request)

    return Starlette(routes=[Route(path, on_loop) for path in ("/metrics", "/healthz", "/readyz")])


class AdminServer:
    """Serves the application on one socket."""

    def __init__(self, sources: Sources) -> None:
        config = uvicorn.Config(
            application(sources), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens; port 0 takes a free one. The port. OSError when the address cannot be had."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=64)
        bound: int = listener.getsockname()[1]
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[listener])
        self._serving = asyncio.create_task(self._server.main_loop(), name="admin")
        return bound

    async def close(self) -> None:
        """Ends it."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
            await self._server.shutdown()
            self._serving = None
