"""Listening sockets: one for each address, one port, and inherited or shared as they are."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from proxy.server.sockets import accept, adopted, bound


def test_every_address_of_a_host_is_bound_on_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET, ("127.0.0.2", 0))]
    found = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in both]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [*found, found[0]])
    made = bound("two", 0)
    names = [one.getsockname() for one in made]
    assert [host for host, _ in names] == ["127.0.0.1", "127.0.0.2"]
    assert len({port for _, port in names}) == 1
    for one in made:
        one.close()


def test_a_port_that_is_taken_is_named_and_nothing_stays_bound() -> None:
    (first,) = bound("127.0.0.1", 0)
    first.listen()
    port = first.getsockname()[1]
    with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
        bound("127.0.0.1", port)
    first.close()
    (again,) = bound("127.0.0.1", port)
    again.close()


def test_several_may_have_a_port_of_their_own_together() -> None:
    (first,) = bound("127.0.0.1", 0, reuse_port=True)
    (second,) = bound("127.0.0.1", first.getsockname()[1], reuse_port=True)
    assert first.getsockname() == second.getsockname()
    first.close()
    second.close()


@pytest.mark.parametrize("shared", [False, True])
async def test_who_comes_is_accepted_on_an_inherited_socket(shared: bool) -> None:
    (given,) = bound("127.0.0.1", 0)
    port = given.getsockname()[1]
    inherited = adopted(os.dup(given.fileno()))
    given.close()
    met: asyncio.Queue[asyncio.BaseTransport] = asyncio.Queue()

    class Greeter(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            met.put_nowait(transport)

    server = await accept(inherited, Greeter, shared=shared)
    clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
    async with asyncio.timeout(20):
        for _ in clients:
            (await met.get()).close()
    for _, writer in clients:
        writer.close()
    server.close()
