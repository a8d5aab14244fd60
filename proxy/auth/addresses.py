"""Addresses that clients come from, and sets of them, as CIDR networks.

An IPv4 address that came through an IPv6 socket is the IPv4 address. A Unix socket has no address: it is `local`, as in
pg_hba.conf. What is no address is in no network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

LOCAL = "local"
SITE = 64  # bits of an IPv6 address that one client cannot choose for itself


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address; None for what is none, such as `local`."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def source(text: str) -> str:
    """Who is behind an address as far as it can be told: an IPv4 address, the /64 of an IPv6 address, or the text."""
    found = parse_address(text)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found) >> (128 - SITE) << (128 - SITE), SITE)))
    return text if found is None else str(found)


@dataclass(frozen=True, slots=True)
class Networks:
    """A set of addresses. local: Unix sockets are in it."""

    networks: tuple[IPv4Network | IPv6Network, ...]
    local: bool = False

    def __contains__(self, address: str) -> bool:
        """Is this address in one of them?"""
        if address == LOCAL:
            return self.local
        found = parse_address(address)
        return found is not None and any(found in one for one in self.networks)


def parse_networks(texts: Iterable[str]) -> Networks:
    """The set of these: an address, a network such as 10.0.0.0/8 whose host bits are zero, or `local`. ValueError."""
    networks = []
    local = False
    for text in texts:
        if text == LOCAL:
            local = True
            continue
        try:
            networks.append(ip_network(text))
        except ValueError:
            raise ValueError(f"{text} is no address, no network such as 10.0.0.0/8, and not {LOCAL}") from None
    return Networks(tuple(networks), local)
