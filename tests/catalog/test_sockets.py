"""TCP sockets: no delay, and a dead peer noticed in the time that was set."""

from __future__ import annotations

import asyncio
import socket

from proxy.catalog.sockets import tune


async def test_a_peer_that_answers_nothing_is_given_up_in_time() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    tune(writer.transport, 80.0)
    raw = writer.get_extra_info("socket")
    tcp = {
        name: raw.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        for name in ("TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    }
    assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert tcp["TCP_NODELAY"]
    assert tcp["TCP_KEEPIDLE"] + tcp["TCP_KEEPINTVL"] * tcp["TCP_KEEPCNT"] == 80
    assert tcp["TCP_USER_TIMEOUT"] == 80_000
    writer.close()
    server.close()


async def test_a_unix_socket_is_left_as_it_is() -> None:
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_unix_connection(sock=ours)
    tune(writer.transport)
    assert not ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    writer.close()
    theirs.close()
