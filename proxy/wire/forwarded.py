"""The header that a balancer puts before a client's first byte: PROXY protocol, version 2.

Only who is trusted to tell an address may be asked for one, and must then tell it: what is not a whole, known header
for a TCP client ends the connection. Version 1 is text without a length, and is refused like anything else; so are
families that have no address to check. Extensions (TLVs) are skipped. Source: "The PROXY protocol", HAProxy's
doc/proxy-protocol.txt, section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from proxy.errors import RemoteProtocolError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED = 16  # bytes before the addresses
LIMIT = 4096  # bytes of addresses and extensions
LOCAL, PROXY = 0x20, 0x21  # version and command
ADDRESSES = {0x11: 4, 0x21: 16}  # TCP over IPv4 and IPv6 -> bytes of an address


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Who is behind the balancer; None: nobody, the balancer itself asks whether somebody is there. size: bytes of the
    header.
    """

    source: tuple[str, int] | None
    size: int


def decode_forwarded(data: bytes) -> Forwarded | None:
    """The header that `data` begins with; None when more of it must come. RemoteProtocolError when it is none."""
    if data[: len(SIGNATURE)] != SIGNATURE[: len(data)]:
        raise RemoteProtocolError("a PROXY protocol header of version 2 is needed from this address")
    if len(data) < FIXED:
        return None
    command, family, length = data[12], data[13], int.from_bytes(data[14:16], "big")
    if command not in {LOCAL, PROXY}:
        raise RemoteProtocolError("unknown version or command in the PROXY protocol header")
    if length > LIMIT:
        raise RemoteProtocolError("the PROXY protocol header is too long")
    if len(data) < FIXED + length:
        return None
    if command == LOCAL:
        return Forwarded(None, FIXED + length)
    width = ADDRESSES.get(family)
    if width is None or length < 2 * width + 4:
        raise RemoteProtocolError("the PROXY protocol header is not about a TCP client")
    packed = data[FIXED : FIXED + width]
    port = int.from_bytes(data[FIXED + 2 * width : FIXED + 2 * width + 2], "big")
    address = IPv4Address(packed) if width == 4 else IPv6Address(packed)
    return Forwarded((str(address), port), FIXED + length)
