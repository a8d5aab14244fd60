"""The ledger against a naive model: no connection in two lists, none lost, no waiter starves, ceilings never passed."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.pool.ledger import Clean, Close, Ledger, Lend, Open, Opening, Share, Step

NONE: frozenset[tuple[str, str]] = frozenset()
LARGE = frozenset({("work_mem", "32MB")})


class World:
    """Does what the ledger says, at the pace of a test."""

    def __init__(self, ceiling: int) -> None:
        self.ledger: Ledger[str, int] = Ledger(ceiling)
        self.openings: list[Opening] = []
        self.cleaning: list[str] = []
        self.closing: list[str] = []
        self.leased: dict[str, int] = {}
        self.lent: list[int] = []
        self._names = count(1)
        self._waiters = count(1)

    def do(self, steps: list[Step[str, int]]) -> None:
        for step in steps:
            match step:
                case Lend(waiter=waiter, connection=connection):
                    assert connection not in self.leased
                    self.leased[connection] = waiter
                    self.lent.append(waiter)
                case Open(opening=opening):
                    self.openings.append(opening)
                case Clean(connection=connection):
                    self.cleaning.append(connection)
                case Close(connection=connection):
                    self.closing.append(connection)

    def share(self, tenant: str, server: str = "a", limit: int | None = None, sharing: bool = True) -> Share[str, int]:
        share = self.ledger.share(server, tenant, NONE)
        share.limit, share.sharing = limit, sharing
        return share

    def want(self, share: Share[str, int]) -> int:
        """The waiter's number; it may have a connection at once."""
        waiter = next(self._waiters)
        connection = self.ledger.take(share)
        if connection is not None:
            self.do([Lend(waiter, connection)])
        else:
            self.do(self.ledger.wait(share, waiter))
        return waiter

    def open_all(self) -> None:
        while self.openings:
            self.do(self.ledger.opened(self.openings.pop(0), f"c{next(self._names)}"))

    def end(self, connection: str) -> None:
        del self.leased[connection]
        self.do(self.ledger.release(connection))

    def holder(self, waiter: int) -> str:
        return next(connection for connection, who in self.leased.items() if who == waiter)


def test_the_connection_used_last_is_lent_first() -> None:
    world = World(9)
    share = world.share("acme")
    one, two = world.want(share), world.want(share)
    world.open_all()
    first, second = world.holder(one), world.holder(two)
    world.end(first)
    world.end(second)
    assert world.ledger.take(share) == second


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
    world.want(world.ledger.share("a", "acme", LARGE))
    assert (world.cleaning, world.closing) == ([], ["c1"])


def test_tenants_take_turns_at_the_ceiling() -> None:
    world = World(1)
    acme, globex = world.share("acme"), world.share("globex")
    world.want(acme)
    world.open_all()
    mine, theirs = [world.want(acme) for _ in range(3)], [world.want(globex) for _ in range(3)]
    order = []
    for _ in range(6):
        world.end("c1")
        for connection in world.cleaning:
            world.do(world.ledger.cleaned(connection))
        world.cleaning.clear()
        order.append(world.leased["c1"])
    assert order == [mine[0], theirs[0], mine[1], theirs[1], mine[2], theirs[2]]


def test_a_blocked_server_opens_nothing_and_hopeless_waiters_are_told() -> None:
    world = World(3)
    share = world.share("acme")
    waiter = world.want(share)
    world.ledger.block("a")
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
    share.limit = 1
    world.end("c1")
    assert world.closing == ["c1"]


def test_nothing_is_kept_of_tenants_that_are_gone() -> None:
    world = World(9)
    for number in range(50):
        share = world.share(f"tenant{number}")
        world.want(share)
        world.open_all()
        (connection,) = world.leased
        del world.leased[connection]
        world.ledger.doom(connection)
        world.do(world.ledger.closed(connection))
    ledger = world.ledger
    assert (ledger.shares, ledger.lines, ledger.places, ledger.tenants, ledger.idle) == ({}, {}, {}, {}, {})


TENANTS, SERVERS = ("acme", "globex", "initech"), ("a", "b")
LIMITS = {"acme": 1, "globex": 2, "initech": None}


class LedgerMachine(RuleBasedStateMachine):
    """Random events. The model: sets of names that this class moves about itself."""

    @initialize(ceiling=st.integers(1, 4))
    def begin(self, ceiling: int) -> None:
        self.world = World(ceiling)
        self.ceiling = ceiling
        self.waiting: dict[int, tuple[str, str]] = {}
        self.alive: set[str] = set()
        self.passed: dict[int, int] = {}  # waiter -> how many of others were lent since it could have been served

    def sync(self) -> None:
        """Take from the model's line who got something."""
        for waiter in self.world.lent:
            tenant_server = self.waiting.pop(waiter, None)
            earlier = [one for one, place in self.waiting.items() if place == tenant_server and one < waiter]
            assert not earlier, "served out of turn"
        self.world.lent.clear()
        self.alive |= set(self.world.leased)

    def share_of(self, tenant: str, server: str) -> Share[str, int]:
        return self.world.share(tenant, server, LIMITS[tenant], sharing=tenant != "initech")

    @rule(tenant=st.sampled_from(TENANTS), server=st.sampled_from(SERVERS))
    def want(self, tenant: str, server: str) -> None:
        world = self.world
        waiter = world.want(self.share_of(tenant, server))
        if waiter not in world.leased.values():
            self.waiting[waiter] = (tenant, server)
        self.sync()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(sorted(self.waiting)))
        tenant, server = self.waiting.pop(waiter)
        assert self.world.ledger.withdraw(self.share_of(tenant, server), waiter)
        self.sync()

    @precondition(lambda self: self.world.openings)
    @rule(data=st.data(), well=st.booleans())
    def opening_ends(self, data: st.DataObject, well: bool) -> None:
        world = self.world
        opening = data.draw(st.sampled_from(world.openings))
        world.openings.remove(opening)
        if well:
            name = f"c{next(world._names)}"
            self.alive.add(name)
            world.do(world.ledger.opened(opening, name))
        else:
            server = world.ledger.places[opening].server
            world.ledger.block(server)
            world.do(world.ledger.failed(opening))
            for waiter in world.ledger.hopeless(server):
                del self.waiting[waiter]
        self.sync()

    @rule(server=st.sampled_from(SERVERS))
    def try_again(self, server: str) -> None:
        self.world.do(self.world.ledger.unblock(server))
        self.sync()

    @precondition(lambda self: self.world.leased)
    @rule(data=st.data(), how=st.sampled_from(["release", "release", "clean", "doom", "cancel"]))
    def lease_ends(self, data: st.DataObject, how: str) -> None:
        world = self.world
        connection = data.draw(st.sampled_from(sorted(world.leased)))
        if how == "release":
            world.end(connection)
        else:
            del world.leased[connection]
            if how == "clean":
                world.ledger.clean(connection)
                world.cleaning.append(connection)
            else:
                world.ledger.doom(connection, cancel=how == "cancel")
                world.closing.append(connection)
        self.sync()

    @precondition(lambda self: self.world.cleaning)
    @rule(data=st.data(), well=st.booleans())
    def cleaning_ends(self, data: st.DataObject, well: bool) -> None:
        world = self.world
        connection = data.draw(st.sampled_from(world.cleaning))
        world.cleaning.remove(connection)
        if well:
            world.do(world.ledger.cleaned(connection))
        else:
            world.ledger.doom(connection)
            world.closing.append(connection)
        self.sync()

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def is_gone(self, data: st.DataObject) -> None:
        """Closed as asked, or lost from whatever list."""
        world = self.world
        connection = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.remove(connection)
        world.leased.pop(connection, None)
        for names in (world.cleaning, world.closing):
            if connection in names:
                names.remove(connection)
        world.do(world.ledger.closed(connection))
        self.sync()

    @invariant()
    def every_connection_stands_in_one_list(self) -> None:
        ledger = self.world.ledger
        listed: list[object] = []
        for share in ledger.shares.values():
            for where in (share.idle, share.leased, share.cleaning, share.cancelling, share.closing, share.opening):
                listed += where
                assert all(ledger.places[one] is share for one in where)
        assert len(listed) == len(set(listed))
        assert set(listed) == set(ledger.places) == self.alive | set(self.world.openings)
        assert {one for share in ledger.shares.values() for one in share.leased} == set(self.world.leased)
        assert {one for share in ledger.shares.values() for one in share.idle} == set(ledger.idle)

    @invariant()
    def no_ceiling_is_passed(self) -> None:
        ledger = self.world.ledger
        assert len(ledger.places) <= self.ceiling
        for tenant, limit in LIMITS.items():
            owned = [one for one, share in ledger.places.items() if share.tenant == tenant]
            assert len(owned) == len(ledger.tenants.get(tenant, ()))
            assert limit is None or len(owned) <= limit

    @invariant()
    def who_waits_is_in_line_and_waits_for_a_reason(self) -> None:
        ledger = self.world.ledger
        assert {waiter for share in ledger.shares.values() for waiter in share.waiting} == set(self.waiting)
        for tenant, server in set(self.waiting.values()):
            share = ledger.shares[server, tenant, NONE]
            assert not share.idle, "an idle connection while somebody waits for it"
            if share.need <= 0 or server in ledger.blocked:
                continue
            limit = LIMITS[tenant]
            owned = ledger.tenants.get(tenant, {})
            if limit is not None and len(owned) >= limit:
                assert not any(ledger.places[one].tenant == tenant for one in ledger.idle)
            else:
                assert len(ledger.places) >= self.ceiling
                assert not ledger.idle

    def teardown(self) -> None:
        """When every lease ends and everything asked for happens, everybody is served: no waiter starves."""
        if not hasattr(self, "world"):
            return
        world = self.world
        for _ in range(200):
            if not self.waiting:
                break
            for server in SERVERS:
                world.do(world.ledger.unblock(server))
            for connection in list(world.leased):
                world.end(connection)
            for opening in list(world.openings):
                world.openings.remove(opening)
                name = f"c{next(world._names)}"
                self.alive.add(name)
                world.do(world.ledger.opened(opening, name))
            for connection in list(world.cleaning):
                world.cleaning.remove(connection)
                world.do(world.ledger.cleaned(connection))
            for connection in list(world.closing):
                world.closing.remove(connection)
                self.alive.discard(connection)
                world.do(world.ledger.closed(connection))
            self.sync()
        assert not self.waiting, "somebody starved"


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(stateful_step_count=40)
