"""The ledger, by examples: which connection is lent, opened, cleaned or closed, and when."""

from __future__ import annotations

import pytest

from tests.pool.ledgers import World

LARGE = frozenset({("work_mem", "32MB")})


def test_the_connection_used_last_is_lent_first() -> None:
    world = World(9)
    share = world.share("acme")
    one, two = world.want(share), world.want(share)
    world.open_all()
    first, second = world.holder(one), world.holder(two)
    world.end(first)
    world.end(second)
    assert world.ledger.take(share, world.now) == second


def test_a_tenants_limit_counts_all_its_servers_and_makes_room_among_its_own() -> None:
    world = World(9)
    here, there = world.share("acme", "a", limit=1), world.share("acme", "b", limit=1)
    one = world.want(here)
    world.open_all()
    two = world.want(there)
    assert not world.openings
    connection = world.holder(one)
    world.end(connection)
    assert world.closing == [connection]
    assert not world.openings
    world.do(world.ledger.closed(world.closing.pop()))
    world.open_all()
    assert two in world.leased.values()


def test_below_the_ceiling_a_connection_of_its_own_is_opened_and_at_it_anothers_is_cleaned() -> None:
    world = World(2)
    acme, globex = world.share("acme"), world.share("globex")
    world.want(acme)
    world.open_all()
    world.end("c1")
    world.want(globex)
    assert not world.cleaning
    world.open_all()
    world.want(globex)
    assert world.cleaning == ["c1"]
    world.do(world.ledger.cleaned("c1"))
    assert set(world.leased) == {"c1", "c2"}


@pytest.mark.parametrize(("giver", "taker"), [(False, True), (True, False)])
def test_who_does_not_share_gets_and_gives_new_connections_only(giver: bool, taker: bool) -> None:
    world = World(1)
    world.want(world.share("acme", sharing=giver))
    world.open_all()
    world.end("c1")
    world.want(world.share("globex", sharing=taker))
    assert (world.cleaning, world.closing, world.openings) == ([], ["c1"], [])
    world.do(world.ledger.closed("c1"))
    world.open_all()
    assert world.leased == {"c2": 2}


def test_a_connection_with_other_startup_settings_is_not_inherited() -> None:
    world = World(1)
    world.want(world.share("acme"))
    world.open_all()
    world.end("c1")
    world.want(world.share("acme", settings=LARGE))
    assert (world.cleaning, world.closing) == ([], ["c1"])


def test_tenants_take_turns_at_the_ceiling() -> None:
    world = World(1)
    acme, globex = world.share("acme"), world.share("globex")
    world.want(acme)
    world.open_all()
    mine, theirs = [world.want(acme) for _ in range(3)], [world.want(globex) for _ in range(3)]
    order = []
    for _ in range(6):
        world.end("c1", 1.0)
        world.clean_all()
        order.append(world.leased["c1"])
    assert order == [theirs[0], mine[0], theirs[1], mine[1], theirs[2], mine[2]]


def test_a_blocked_server_opens_nothing_and_hopeless_waiters_are_told() -> None:
    world = World(3)
    share = world.share("acme")
    waiter = world.want(share)
    world.ledger.barriers.shut("a")
    world.do(world.ledger.failed(world.openings.pop()))
    assert world.ledger.hopeless("a") == [waiter]
    world.want(share)
    assert world.openings == []
    world.do(world.ledger.unblock("a"))
    assert len(world.openings) == 1


def test_a_lowered_limit_closes_what_is_released() -> None:
    world = World(9)
    share = world.share("acme", limit=2)
    world.want(share)
    world.want(share)
    world.open_all()
    world.share("acme", limit=1)
    world.end("c1")
    assert world.closing == ["c1"]
    world.end("c2")  # the other may stay
    assert world.closing == ["c1"]


def test_nothing_is_kept_of_tenants_that_are_gone() -> None:
    world = World(9)
    for number in range(50):
        share = world.share(f"tenant{number}")
        world.want(share)
        world.open_all()
        (connection,) = world.leased
        del world.leased[connection]
        world.do(world.ledger.doom(connection))
        world.do(world.ledger.closed(connection))
    ledger = world.ledger
    assert (ledger.shares, len(ledger.lines), ledger.places, ledger.idle, ledger.going) == ({}, 0, {}, {}, {})
    assert not any(one.places or one.shares for one in ledger.standings.values())


def test_the_next_connection_goes_to_who_used_least_for_its_weight_and_its_oldest_waiter() -> None:
    world = World(1)
    acme, globex = world.share("acme"), world.share("globex", weight=4.0)
    for share, seconds in ((acme, 1.0), (globex, 3.0)):
        world.want(share)
        world.settle()
        world.end("c1", seconds)
    holder = world.share("initech")
    world.want(holder)
    world.settle()
    first, second, third = world.want(acme), world.want(globex), world.want(globex)
    served = []
    for _ in range(3):
        world.end("c1", 0.3)
        world.settle()
        served.append(world.leased["c1"])
    assert served == [second, third, first]


def test_a_flood_delays_anothers_first_waiter_by_no_more_than_the_lease_that_ends_next() -> None:
    world = World(5)
    noisy, steady = world.share("noisy"), world.share("steady")
    world.want(steady)  # it has used more than anybody
    world.settle()
    world.end("c1", 100.0)
    for _ in range(1000):
        world.want(noisy)
    world.settle()
    mine = world.want(steady)
    world.end(next(iter(world.leased)), 0.1)
    world.settle()
    assert mine in world.leased.values()


def test_who_holds_more_than_its_part_gives_back_as_connections_come_free() -> None:
    world = World(6)
    noisy, steady = world.share("noisy"), world.share("steady")
    for _ in range(20):
        world.want(noisy)
    world.settle()
    for _ in range(20):
        world.want(steady)
    for connection in sorted(world.leased)[:4]:
        world.end(connection, 0.01)
        world.settle()
    assert (len(noisy.leased), len(steady.leased)) == (3, 3)


def test_weights_are_what_parts_are_divided_by() -> None:
    world = World(8)
    heavy, light = world.share("heavy", weight=3.0), world.share("light")
    for _ in range(100):
        world.want(light)
        world.want(heavy)
    world.settle()
    for _ in range(40):
        world.end(next(iter(world.leased)), 0.01)  # the oldest lease
        world.settle()
    assert (len(heavy.leased), len(light.leased)) == (6, 2)


def test_a_part_that_nobody_else_can_use_binds_nobody() -> None:
    world = World(6)
    narrow, wide = world.share("narrow", limit=1), world.share("wide")
    for _ in range(5):
        world.want(narrow)
        world.want(wide)
    world.settle()
    assert (len(narrow.leased), len(wide.leased)) == (1, 5)
    world.ledger.barriers.shut("b")
    there = world.share("elsewhere", "b")
    world.want(there)
    world.want(wide)
    world.end(next(iter(wide.leased)), 1.0)
    world.settle()
    assert len(wide.leased) == 5


def test_a_site_has_a_ceiling_of_its_own_and_makes_room_among_its_own() -> None:
    world = World(9)
    here, there = world.share("acme", "a1"), world.share("acme", "b1")
    world.do(world.ledger.set_site_ceiling(here.site, 1))
    world.want(here)
    world.want(there)
    world.settle()
    mine = world.want(here)
    assert not world.openings
    other = world.share("globex", "a2")  # another database at the same site
    theirs = world.want(other)
    world.end(world.holder(1), 1.0)
    world.settle()
    assert theirs in world.leased.values()
    assert mine not in world.leased.values()
    world.end(world.holder(theirs), 1.0)
    world.settle()
    assert mine in world.leased.values()
    assert len(here.site.places) == 1


def test_a_lowered_ceiling_takes_idle_connections_at_once_and_leased_ones_as_they_come_back() -> None:
    world = World(6)
    share = world.share("acme")
    for _ in range(4):
        world.want(share)
    world.settle()
    world.end("c1")
    world.do(world.ledger.set_ceiling(2))
    assert world.closing == ["c1"]
    world.want(world.share("globex"))
    world.end("c2")
    assert world.closing == ["c1", "c2"]
    world.close_all()
    assert not world.openings
    world.end("c3")
    assert world.cleaning == ["c3"]  # two are left, and one of them passes on
    world.clean_all()
    world.do(world.ledger.set_ceiling(9))
    world.want(share)
    assert len(world.openings) == 1


def test_what_was_being_opened_when_the_ceiling_fell_is_closed() -> None:
    world = World(2)
    share = world.share("acme")
    world.want(share)
    world.open_all()
    waiter = world.want(share)
    world.do(world.ledger.set_ceiling(1))
    world.open_all()
    assert world.closing == ["c2"]
    world.close_all()
    world.end("c1")
    assert world.leased == {"c1": waiter}


def test_a_reserve_is_opened_for_who_waited_too_long_and_closed_when_nobody_does() -> None:
    world = World(9)
    share = world.share("acme", limit=1, reserve=1)
    world.want(share)
    world.open_all()
    second, third = world.want(share), world.want(share)
    assert not world.openings
    world.do(world.ledger.hurry(share, second))
    world.open_all()
    assert second in world.leased.values()
    world.do(world.ledger.hurry(share, third))
    assert not world.openings  # there is no more of it
    world.end("c2")
    assert world.leased["c2"] == third
    world.end("c2")
    assert world.closing == ["c2"]


def test_what_is_kept_goes_last_and_passes_to_nobody() -> None:
    world = World(2)
    kept, other = world.share("kept", keep=1), world.share("other")
    world.do(world.ledger.fill(kept))
    world.want(other)
    world.open_all()
    world.end("c2")
    world.want(world.share("third"))
    assert world.cleaning == ["c2"]  # though c1 is idle for longer
    world.clean_all()
    world.want(world.share("fourth"))
    assert (world.cleaning, world.closing) == ([], ["c1"])
    world.do(world.ledger.fill(kept))
    assert len(world.openings) == 0  # while somebody waits for the room


def test_a_share_that_was_blocked_alone_blocks_no_other_there() -> None:
    world = World(9)
    acme, globex = world.share("acme"), world.share("globex")
    waiter = world.want(acme)
    world.ledger.barriers.shut(acme.key)
    world.do(world.ledger.failed(world.openings.pop()))
    assert world.ledger.hopeless(acme.key) == [waiter]
    world.want(globex)
    assert len(world.openings) == 1


def test_who_waited_for_a_connection_that_could_not_be_cleaned_has_another_before_that_one_is_closed() -> None:
    world = World(2)
    share = world.share("acme")
    world.want(share)
    world.open_all()
    del world.leased["c1"]
    world.ledger.clean("c1")
    world.want(share)
    assert not world.openings
    world.do(world.ledger.doom("c1"))
    assert len(world.openings) == 1


def test_who_has_one_connection_in_use_and_waits_for_another_goes_behind_as_time_goes_on() -> None:
    world = World(9)
    here, there, other = world.share("acme"), world.share("acme", "b"), world.share("globex", "b")
    world.want(here)
    world.open_all()
    world.ledger.barriers.shut("b")
    world.want(there)
    world.want(other)
    assert [one.tenant for one in world.ledger.order()] == ["acme", "globex"]
    world.now += 1.0
    world.ledger.tick(world.now)
    assert [one.tenant for one in world.ledger.order()] == ["globex", "acme"]
