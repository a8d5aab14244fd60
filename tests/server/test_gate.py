"""Rations: so many new connections at once and per second, for everybody and for each address; none without memory."""

from __future__ import annotations

import pytest

from proxy.auth.addresses import source
from proxy.server.gate import ADDRESSES, BURST, HANDSHAKE, Gate


class House:
    """A clock and a memory that a test can set."""

    def __init__(self, rate: float = 10.0, address_rate: float = 2.0, memory_limit: int = 0) -> None:
        self.now = 0.0
        self.size = 0
        self.gate = Gate(rate, address_rate, memory_limit, lambda: self.now, lambda: self.size)

    def enter(self, address: str, times: int = 1) -> list[str | None]:
        refusals = [self.gate.enter(address) for _ in range(times)]
        return [None if one is None else one.sqlstate for one in refusals]


def test_a_storm_within_the_ration_is_let_in_and_what_comes_beyond_is_not() -> None:
    house = House()
    allowed = int(2 * BURST)
    assert house.enter("10.0.0.1", allowed + 1) == [None] * allowed + ["53300"]


def test_a_ration_fills_again_at_its_rate_and_no_further_than_its_burst() -> None:
    house = House()
    house.enter("10.0.0.1", 100)
    house.now = 1.0
    assert house.enter("10.0.0.1", 3) == [None, None, "53300"]
    house.now = 10_000.0
    assert house.enter("10.0.0.1", 21) == [None] * 20 + ["53300"]


def test_one_address_does_not_take_what_is_anothers() -> None:
    house = House()
    house.enter("10.0.0.1", 50)
    assert house.enter("10.0.0.2") == [None]


def test_whoever_logs_in_is_given_back_to_its_address_until_the_process_has_used_half_of_its_ration() -> None:
    house = House()

    def logins(address: str) -> int:
        admitted = 0
        while house.enter(address) == [None]:
            house.gate.give_back(address, tls=False)
            admitted += 1
        return admitted

    assert logins("10.0.0.1") == int((5 + 2) * BURST)
    assert logins("10.0.0.2") == int(2 * BURST)
    house.now = 10.0
    assert logins("10.0.0.1") == int((5 + 2) * BURST)


def test_no_more_is_given_back_than_an_address_may_have_and_a_handshake_is_with_it() -> None:
    house = House(rate=1000.0)
    house.gate.give_back("10.0.0.1", tls=True)
    house.enter("10.0.0.1", 2)
    assert house.gate.handshake("10.0.0.1")
    for _ in range(5):
        house.gate.give_back("10.0.0.1", tls=True)
    assert house.enter("10.0.0.1", 21) == [None] * 20 + ["53300"]


def test_many_addresses_share_the_ration_of_the_process() -> None:
    house = House()
    admitted = [house.enter(f"10.0.0.{one}") for one in range(200)]
    assert admitted.count([None]) == 10 * BURST


def test_a_tls_handshake_costs_as_much_as_several_connections() -> None:
    house = House()
    taken = 0
    while house.gate.handshake("10.0.0.1"):
        taken += 1
    assert taken == int(2 * BURST / HANDSHAKE)
    assert house.gate.refused["handshake"] == 1


def test_without_memory_nobody_is_let_in_until_there_is_some_again() -> None:
    house = House(memory_limit=1000)
    house.size = 1000
    assert house.enter("10.0.0.1") == [None]  # the kernel is asked now and then, and not for each
    house.gate.measure()
    assert house.enter("10.0.0.1") == ["53200"]
    house.size = 999
    house.gate.measure()
    assert house.enter("10.0.0.1") == [None]
    assert house.gate.refused["memory"] == 1


def test_no_limit_of_memory_is_never_reached() -> None:
    house = House()
    house.size = 1 << 40
    house.gate.measure()
    assert house.enter("10.0.0.1") == [None]


def test_the_addresses_that_are_remembered_are_bounded_and_the_latest_are_kept() -> None:
    house = House(rate=1e9)
    house.enter("10.0.0.1", 20)
    for one in range(ADDRESSES - 1):
        house.enter(f"2001:db8:{one:x}::1")
    assert house.enter("10.0.0.1") == ["53300"]  # asked, and so the latest
    for one in range(ADDRESSES):
        house.enter(f"2001:db8:{one:x}::2")
    assert house.enter("10.0.0.1") == [None]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "10.0.0.1", False),
    ],
)
def test_a_host_has_one_ration_however_many_addresses_it_has(one: str, other: str, same: bool) -> None:
    assert (source(one) == source(other)) is same
