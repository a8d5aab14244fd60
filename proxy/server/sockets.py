"""Listening sockets: bound once, and given to whoever accepts on them, one process or several.

They are inherited as numbers of files. With `shared` ones every worker accepts from one queue, one connection a turn,
so that none takes a whole burst; with `reuse_port` every worker has a queue of its own and the kernel chooses.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

BACKLOG = 1024


def bound(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """A socket for each address of the host, all on one port; 0 takes a free one. OSError when one cannot be had."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            made.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address[0], port, *address[2:]))
            port = one.getsockname()[1]
    except OSError as error:
        for one in made:
            one.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from None
    return made


async def accept(
    listening: socket.socket, protocol: Callable[[], asyncio.BaseProtocol], *, shared: bool = False
) -> asyncio.Server:
    """Accepts on a bound socket. shared: other processes accept on it as well."""
    loop = asyncio.get_running_loop()
    backlog = 1 if shared else BACKLOG  # so many are accepted in one turn of the loop
    if listening.family == socket.AF_UNIX:
        # From Python 3.13 on asyncio takes the name away with the server; it is whoever made it who does.
        own: dict[str, Any] = {}
        if sys.version_info >= (3, 13) and isinstance(loop, asyncio.BaseEventLoop):
            own["cleanup_socket"] = False
        server = await loop.create_unix_server(protocol, sock=listening, backlog=backlog, **own)
    else:
        server = await loop.create_server(protocol, sock=listening, backlog=backlog)
    listening.listen(BACKLOG)
    return server


def adopted(number: int) -> socket.socket:
    """The socket that is inherited as this file."""
    os.set_inheritable(number, False)  # not by this process's own children
    return socket.socket(fileno=number)
