"""TCP sockets on both sides: small messages go at once, and a peer that is gone without a word is noticed.

A peer that answers nothing is given up after `peer_timeout` seconds, whether the connection is idle (keepalive: half of
the time in silence, then four questions) or something was sent that is not confirmed (TCP_USER_TIMEOUT). Unix sockets
need none of it. Source: tcp(7); libpq's keepalives and tcp_user_timeout.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

PEER_TIMEOUT = 120.0  # seconds
QUESTIONS = 4


def tune(transport: asyncio.BaseTransport, peer_timeout: float = PEER_TIMEOUT) -> None:
    """Sets what every TCP socket has; what a system does not know is left out."""
    raw = transport.get_extra_info("socket")
    if raw is None or raw.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    idle = max(1, int(peer_timeout / 2))
    interval = max(1, int(peer_timeout / 2 / QUESTIONS))
    with suppress(OSError):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", idle),
            ("TCP_KEEPINTVL", interval),
            ("TCP_KEEPCNT", QUESTIONS),
            ("TCP_USER_TIMEOUT", int(peer_timeout * 1000)),
        ):
            option = getattr(socket, name, None)
            if option is not None:
                raw.setsockopt(socket.IPPROTO_TCP, option, value)
