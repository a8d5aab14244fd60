"""Addresses, and sets of them: what is in a network, and what is in none."""

from __future__ import annotations

import pytest

from proxy.auth.addresses import LOCAL, parse_address, parse_networks, source


@pytest.mark.parametrize(
    ("networks", "inside", "outside"),
    [
        (["10.0.0.0/8"], "10.255.0.1", "11.0.0.1"),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", "::10.1.2.3"),
        (["192.0.2.7"], "192.0.2.7", "192.0.2.8"),
        (["2001:db8::/32"], "2001:db8:1::1", "2001:db9::1"),
        (["fe80::/10"], "fe80::1%3", LOCAL),
        (["0.0.0.0/0"], "203.0.113.9", "2001:db8::1"),
        ([LOCAL], LOCAL, "127.0.0.1"),
        (["10.0.0.0/8", LOCAL, "::1"], "::1", "no address"),
    ],
)
def test_an_address_is_in_its_networks_only(networks: list[str], inside: str, outside: str) -> None:
    assert inside in parse_networks(networks)
    assert outside not in parse_networks(networks)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "example.org", "", "010.0.0.1", "Local", "10.0.0.0/8 "])
def test_what_is_no_network_is_told_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is no address, no network"):
        parse_networks([text])


def test_a_client_is_known_by_what_it_cannot_choose_for_itself() -> None:
    assert source("2001:db8:1:2:3:4:5:6") == source("2001:db8:1:2::") == "2001:db8:1:2::/64"
    assert source("::ffff:192.0.2.7") == "192.0.2.7"
    assert source(LOCAL) == LOCAL
    assert parse_address(LOCAL) is None
