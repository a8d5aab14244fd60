"""The operator's HTTP door: /metrics, /healthz, /readyz on an address of its own, inside the proxy's event loop.

It takes no signals and no part in the proxy's work; a slow scraper holds up nobody. These read only. What is asked at
/control is what the control door is asked, with the admin token; without one in the settings there is no such page.
From another machine it is asked by https only, so that the token is never in the clear on a network.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hmac import compare_digest
from ipaddress import ip_address

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from proxy.admin.arrival import Arrival, Arrivals, Tls
from proxy.admin.headers import TimedHttp
from proxy.fleet.control import (
    INSIDE,
    MAX_REQUEST,
    Answer,
    BadRequest,
    decode,
    encode_answer,
    patience,
)
from proxy.fleet.control import (
    Request as ControlRequest,
)

ARRIVAL = 5.0  # seconds for the body of a request
TOKEN = b"Bearer "
Handler = Callable[[ControlRequest], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What the pages show. control and token: who answers /control, and what must be shown there. tls: the certificate
    for who comes by https; None: there is none.
    """

    metrics: Callable[[], Awaitable[bytes]]
    unready: Callable[[], str | None]  # why /readyz says no
    control: Handler | None = None
    token: str | None = None
    tls: Tls = lambda: None


class _Server(uvicorn.Server):
    """uvicorn without its own idea of signals: the process's lifecycle has them."""

    def install_signal_handlers(self) -> None:
        """None."""


def application(pages: Pages) -> Starlette:
    """The ASGI application."""

    async def metrics(_: Request) -> Response:
        # Snapshots are taken on the loop: nothing changes while they are read, and no lock is needed.
        return Response(await pages.metrics(), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        reason = pages.unready()
        return PlainTextResponse(f"{reason or 'ready'}\n", 503 if reason else 200)

    routes = [Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)]
    if pages.control is not None and pages.token:
        routes.append(Route("/control", _control(pages.control, pages.token), methods=["POST"]))
    return Starlette(routes=routes)


def _control(handler: Handler, token: str) -> Callable[[Request], Awaitable[Response]]:
    expected = TOKEN + token.encode()

    async def control(request: Request) -> Response:
        if not private(request):
            return PlainTextResponse("https is needed from another machine\n", 403)
        shown = [value for name, value in request.scope["headers"] if name == b"authorization"]
        if len(shown) != 1 or not compare_digest(shown[0], expected):
            return PlainTextResponse("the admin token is needed\n", 401, {"WWW-Authenticate": "Bearer"})
        try:
            asked = decode(await _body(request))
            if isinstance(asked, INSIDE):
                raise BadRequest("there is no such request")
        except BadRequest as problem:
            return _json(Answer(None, (str(problem),)), 400)
        answer = await _handled(handler, asked, request)
        return _json(answer, 409 if answer.problems else 200)

    return control


def private(request: Request) -> bool:
    """Did it come encrypted, or from this machine? What others say in between about how it came is not believed."""
    if request.scope["scheme"] == "https":
        return True
    try:
        address = ip_address("" if request.client is None else request.client.host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


async def _handled(handler: Handler, asked: ControlRequest, request: Request) -> Answer:
    """What is asked ends when the one who asked is gone."""
    work = asyncio.ensure_future(handler(asked))
    gone = asyncio.ensure_future(request.receive())  # after the body only the end can come
    try:
        await asyncio.wait({work, gone}, timeout=patience(asked), return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else Answer(None, ("it took too long",))
    finally:
        work.cancel()
        gone.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


def _json(answer: Answer, status: int) -> Response:
    return Response(encode_answer(answer), status, media_type="application/json")


async def _body(request: Request) -> bytes:
    """What was posted. BadRequest when it is too long or does not come."""
    body = b""
    try:
        async with asyncio.timeout(ARRIVAL):
            async for part in request.stream():
                body += part
                if len(body) > MAX_REQUEST:
                    raise BadRequest("the request is too long")
    except (TimeoutError, ClientDisconnect):
        raise BadRequest("the request did not come") from None
    return body


class AdminServer:
    """Serves the application on one socket."""

    def __init__(self, pages: Pages) -> None:
        config = uvicorn.Config(
            application(pages),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            http=TimedHttp,
            proxy_headers=False,  # or who sends them could say that it came from here, and encrypted
        )
        self._server = _Server(config)
        self._arrivals = Arrivals(pages.tls)
        self._serving: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens; port 0 takes a free one. The port. OSError when the address cannot be had."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=64)
        bound: int = listener.getsockname()[1]
        config = self._server.config
        config.load()
        http = config.http_protocol_class
        config.http_protocol_class = lambda **given: Arrival(self._arrivals, lambda: http(**given))  # type: ignore[assignment]  # it is called
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[listener])
        self._serving = asyncio.create_task(self._server.main_loop(), name="admin")
        return bound

    async def close(self) -> None:
        """Ends it."""
        self._server.should_exit = True
        await self._arrivals.close()
        if self._serving is not None:
            await self._serving
            await self._server.shutdown()
            self._serving = None
