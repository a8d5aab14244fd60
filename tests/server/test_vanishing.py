"""Clients that vanish in every phase: after any number of bytes, orderly or not, nothing is left of them."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from tests.server.conftest import House, until

WORDS = b"user\0alice\0database\0test\0\0"
STARTUP = (len(WORDS) + 8).to_bytes(4, "big") + b"\0\3\0\0" + WORDS
SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"
FIRST = b"n,,n=,r=nonce-of-a-client-that-vanishes"
INITIAL = b"SCRAM-SHA-256\0" + len(FIRST).to_bytes(4, "big") + FIRST
SASL = b"p" + (len(INITIAL) + 4).to_bytes(4, "big") + INITIAL
FALSE_PROOF = b"p\0\0\0\x20c=biws,r=nonce,p=AAAAAAAAAAAA"
CANCEL = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1key!"
ALL = {
    "startup": STARTUP + SASL + FALSE_PROOF,
    "TLS asked for": SSL_REQUEST + STARTUP,
    "cancel": CANCEL,
    "noise": b"GET / HTTP/1.1\r\n\r\n",
}


def vanish(port: int, said: bytes, reset: bool) -> None:
    """Connects, says that, and is gone."""
    with socket.create_connection(("127.0.0.1", port)) as one:
        if reset:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.sendall(said)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("what", ALL)
async def test_a_client_that_vanishes_before_it_is_logged_in_leaves_nothing(
    house: House, what: str, reset: bool
) -> None:
    said = ALL[what]
    for end in range(len(said) + 1):
        await asyncio.to_thread(vanish, house.port, said[:end], reset)
    await until(lambda: not house.listener.clients and not len(house.listener.tasks))
    assert len(house.listener.keys) == 0
    assert house.pools.statistics().leased == 0
    assert house.listener.services.counters.connections("acme") == 0
    client = await house.connect()
    assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
    client.close()
