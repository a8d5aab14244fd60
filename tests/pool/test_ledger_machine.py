"""The ledger under random events against a naive model: no connection in two lists, none lost, nobody passed over out
of turn, nobody starved, no ceiling passed, whatever is lowered, blocked, lost or old meanwhile.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.pool.ledger import Ledger
from proxy.pool.share import NO_LIMIT, Opening, Share
from proxy.pool.turns import HALF_LIFE, PATIENCE
from tests.pool.ledgers import NONE, World

TENANTS, SERVERS = ("acme", "globex", "initech", "umbrella"), ("a", "b")
LIMITS = {"acme": (1, 1), "globex": (2, 0), "initech": (NO_LIMIT, 0), "umbrella": (NO_LIMIT, 0)}
WEIGHTS = {"acme": 1.0, "globex": 2.0, "initech": 1.0, "umbrella": 0.5}
KEPT = {"umbrella": 1}
Lists = Share[str, int]


def height(total: float, wanted: dict[str, int]) -> float:
    """Units one by one to whoever has least for its weight: where the last one is given."""
    parts, last = dict.fromkeys(wanted, 0), -1.0
    if sum(wanted.values()) <= total:
        return float("inf")
    for _ in range(int(total)):
        tenant = min((one for one in wanted if parts[one] < wanted[one]), key=lambda one: parts[one] / WEIGHTS[one])
        last = parts[tenant] / WEIGHTS[tenant]
        parts[tenant] += 1
    return last


class Watched(Ledger[str, int]):
    """A ledger whose every choice is compared with one made from nothing but the lists and the model's own books."""

    spent: dict[str, list[tuple[float, float]]]  # tenant -> server time, and when
    ticked: float

    def order(self) -> Iterator[Lists]:
        told = list(super().order())
        keys = [self.rank(share) for share in told]
        assert {id(one) for one in told} == {id(one) for one in self.shares.values() if one.waiting}
        for one, next_ in pairwise(keys):
            assert one[0] < next_[0] or (one[0] == next_[0] and one[1] <= next_[1] + 1e-9), (keys, told)
        return iter(told)

    def rank(self, share: Lists) -> tuple[tuple[bool, bool], float]:
        since = next(iter(share.waiting.values()))
        patient = share.entry is not None and share.entry[0] < 0
        assert not patient or self.clock() - since > PATIENCE
        used = sum(
            seconds * 0.5 ** ((self.ticked - when) / HALF_LIFE) for seconds, when in self.spent.get(share.tenant, ())
        )
        return (self.above(share), not patient), since if patient else used / WEIGHTS[share.tenant]

    def above(self, share: Lists) -> bool:
        """Has the tenant reached its ceiling, in all or at the site?"""
        if len({one.tenant for one in self.shares.values() if one.waiting}) == 1:
            return False
        for total, shares in (
            (self.ceilings.total, list(self.shares.values())),
            (share.site.ceiling, [one for one in self.shares.values() if one.site is share.site]),
        ):
            wanted: dict[str, int] = {}
            busy = 0
            for one in shares:
                busy += one.busy if one.tenant == share.tenant else 0
                free = one.waiting and not self.barriers.bars(one)
                wanted[one.tenant] = wanted.get(one.tenant, 0) + one.busy + (max(0, one.need) if free else 0)
            able = {one: int(min(want, self.standings[one].most)) for one, want in wanted.items() if want}
            if busy / WEIGHTS[share.tenant] > height(total, able):
                return True
        return False


class LedgerMachine(RuleBasedStateMachine):
    """Random events. The model: sets of names that this class moves about itself."""

    @initialize(ceiling=st.integers(1, 5))
    def begin(self, ceiling: int) -> None:
        self.world = World(ceiling)
        ledger = Watched(ceiling, lambda: self.world.now)
        ledger.spent, ledger.ticked = {}, 0.0
        self.world.ledger = self.ledger = ledger
        self.ledger.tick(0.0)
        self.ceiling, self.site_ceiling = ceiling, NO_LIMIT
        self.waiting: dict[int, tuple[str, str]] = {}
        self.alive: set[str] = set()
        self.began: dict[str, tuple[str, float]] = {}  # leased connection -> tenant, and since when
        self.counts: dict[str, int] = {}  # of every scope, after the last event
        self.barred: dict[Hashable, set[Opening]] = {}  # where it failed, and what was under way then
        self.tried: set[Hashable] = set()  # of these, where the wait is over

    def sync(self) -> None:
        """Take from the model's line who got something."""
        world = self.world
        for waiter in world.lent:
            tenant_server = self.waiting.pop(waiter, None)
            earlier = [one for one, place in self.waiting.items() if place == tenant_server and one < waiter]
            assert not earlier, "served out of turn"
        world.lent.clear()
        self.alive |= set(world.leased)
        for connection in world.leased:
            self.began.setdefault(connection, (self.ledger.places[connection].tenant, world.now))

    def ended(self, connection: str) -> None:
        """A lease is over, however: the tenant has used it so long."""
        tenant, since = self.began.pop(connection)
        self.ledger.spent.setdefault(tenant, []).append((self.world.now - since, self.ledger.ticked))

    def share_of(self, tenant: str, server: str) -> Lists:
        limit, reserve = LIMITS[tenant]
        return self.world.share(
            tenant,
            server,
            limit,
            reserve=reserve,
            sharing=tenant != "initech",
            weight=WEIGHTS[tenant],
            keep=KEPT.get(tenant, 0),
        )

    @rule(tenant=st.sampled_from(TENANTS), server=st.sampled_from(SERVERS))
    def want(self, tenant: str, server: str) -> None:
        world = self.world
        waiter = world.want(self.share_of(tenant, server))
        if waiter not in world.leased.values():
            self.waiting[waiter] = (tenant, server)
        self.sync()

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 20.0]), ticks=st.booleans())
    def time_goes_on(self, seconds: float, ticks: bool) -> None:
        self.world.now += seconds
        if ticks:
            for connection in list(self.began):
                self.ended(connection)
            self.ledger.ticked = self.world.now
            self.ledger.tick(self.world.now)
            self.sync()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), hurried=st.booleans())
    def leave_or_hurry(self, data: st.DataObject, hurried: bool) -> None:
        waiter = data.draw(st.sampled_from(sorted(self.waiting)))
        share = self.share_of(*self.waiting[waiter])
        if hurried:
            self.world.do(self.ledger.hurry(share, waiter))
        else:
            del self.waiting[waiter]
            assert self.ledger.withdraw(share, waiter)
        self.sync()

    @precondition(lambda self: self.world.openings)
    @rule(data=st.data(), outcome=st.sampled_from(["well", "well", "site", "share"]))
    def opening_ends(self, data: st.DataObject, outcome: str) -> None:
        world = self.world
        opening = data.draw(st.sampled_from(world.openings))
        if outcome == "well":
            self.alive.add(world.open_one(opening))
        else:
            world.openings.remove(opening)
            share = self.ledger.places[opening]
            key = share.site.key if outcome == "site" else share.key
            self.ledger.barriers.shut(key)
            self.barred[key] = set(world.openings)
            self.tried.discard(key)
            world.do(self.ledger.failed(opening))
            for waiter in self.ledger.hopeless(key):
                del self.waiting[waiter]
        self.sync()

    @rule()
    def all_is_well_again(self) -> None:
        for key in list(self.ledger.barriers):
            self.world.do(self.ledger.unblock(key))
        self.barred.clear()
        self.sync()

    @precondition(lambda self: self.barred)
    @rule(data=st.data())
    def one_may_try(self, data: st.DataObject) -> None:
        """The wait after a failure is over."""
        key = data.draw(st.sampled_from(sorted(self.barred, key=str)))
        self.tried.add(key)
        self.world.do(self.ledger.half_open(key))
        self.sync()

    @invariant()
    def no_more_than_one_tries_where_it_failed(self) -> None:
        assert set(self.ledger.barriers) == set(self.barred)
        for key, before in self.barred.items():
            there = {one for one in self.world.openings if key in self.keys_of(one)} - before
            assert len(there) <= (key in self.tried), "opened where it had failed"

    def keys_of(self, opening: Opening) -> tuple[Hashable, Hashable]:
        share = self.ledger.places[opening]
        return share.site.key, share.key

    @precondition(lambda self: self.world.leased)
    @rule(data=st.data(), how=st.sampled_from(["release", "release", "clean", "doom", "cancel"]))
    def lease_ends(self, data: st.DataObject, how: str) -> None:
        world = self.world
        connection = data.draw(st.sampled_from(sorted(world.leased)))
        self.ended(connection)
        if how == "release":
            world.end(connection)
        else:
            del world.leased[connection]
            if how == "clean":
                self.ledger.clean(connection)
                world.cleaning.append(connection)
            else:
                world.do(self.ledger.doom(connection, cancel=how == "cancel"))
                world.closing.append(connection)
        self.sync()

    @precondition(lambda self: self.world.cleaning)
    @rule(data=st.data(), well=st.booleans())
    def cleaning_ends(self, data: st.DataObject, well: bool) -> None:
        world = self.world
        connection = data.draw(st.sampled_from(world.cleaning))
        world.cleaning.remove(connection)
        if well:
            world.do(self.ledger.cleaned(connection))
        else:
            world.do(self.ledger.doom(connection))
            world.closing.append(connection)
        self.sync()

    @precondition(lambda self: self.ledger.idle)
    @rule(data=st.data())
    def grows_old(self, data: st.DataObject) -> None:
        """Its lifetime is over, or it was idle for too long."""
        connection = data.draw(st.sampled_from(sorted(self.ledger.idle)))
        self.world.do(self.ledger.doom(connection))
        self.world.closing.append(connection)
        self.sync()

    @rule(server=st.sampled_from(SERVERS))
    def kept_ones_are_opened(self, server: str) -> None:
        self.world.do(self.ledger.fill(self.share_of("umbrella", server)))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def is_gone(self, data: st.DataObject) -> None:
        """Closed as asked, or lost from whatever list."""
        world = self.world
        connection = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.remove(connection)
        if world.leased.pop(connection, None) is not None:
            self.ended(connection)
        for names in (world.cleaning, world.closing):
            if connection in names:
                names.remove(connection)
        world.do(self.ledger.closed(connection))
        self.sync()

    @rule(ceiling=st.integers(1, 5))
    def the_ceiling_moves(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.world.do(self.ledger.set_ceiling(ceiling))
        self.sync()

    @rule(ceiling=st.sampled_from([1, 2, NO_LIMIT]))
    def a_sites_ceiling_moves(self, ceiling: float) -> None:
        self.site_ceiling = ceiling
        self.world.do(self.ledger.set_site_ceiling(self.ledger.site("a"), ceiling))
        self.sync()

    @invariant()
    def every_connection_stands_in_one_list(self) -> None:
        ledger = self.ledger
        listed: list[object] = []
        for share in ledger.shares.values():
            for where in (share.idle, share.leased, share.cleaning, share.cancelling, share.closing, share.opening):
                listed += where
                assert all(ledger.places[one] is share for one in where)
            assert share in share.standing.shares
        shares = list(ledger.shares.values())
        assert len(listed) == len(set(listed))
        assert set(listed) == set(ledger.places) == self.alive | set(self.world.openings)
        assert {one for share in shares for one in share.leased} == set(self.world.leased)
        assert {one for share in shares for one in share.idle} == set(ledger.idle)
        assert {one for share in shares for one in (*share.closing, *share.cancelling)} == set(ledger.going)
        assert set(ledger.promised) <= {one for share in shares for one in share.cleaning}
        assert {id(one) for one in ledger.lines} == {id(one) for one in shares if one.waiting}
        assert set(ledger.making_room) == {one for share in shares for one in share.reserved} | (
            set(ledger.making_room) & set(ledger.going)
        )

    @invariant()
    def no_ceiling_is_passed(self) -> None:
        """Where one was lowered, what is above it does not grow, and nothing above it is idle."""
        ledger = self.ledger
        scopes = {"all": (self.ceiling, set(ledger.places)), "site": (self.site_ceiling, set(ledger.site("a").places))}
        for tenant in TENANTS:
            standing = ledger.standing(tenant)
            scopes[tenant] = (standing.most, set(standing.places))
            assert scopes[tenant][1] == {one for one, share in ledger.places.items() if share.tenant == tenant}
        assert scopes["site"][1] == {one for one, share in ledger.places.items() if share.server == "a"}
        for name, (ceiling, places) in scopes.items():
            if len(places) > ceiling:
                assert len(places) <= self.counts.get(name, 0), "it was opened above a ceiling"
            if len(places - set(ledger.going)) > ceiling and name not in LIMITS:
                assert not places & set(ledger.idle), "idle above a lowered ceiling"
            self.counts[name] = len(places)

    @invariant()
    def who_waits_is_in_line_and_waits_for_a_reason(self) -> None:
        ledger = self.ledger
        assert {waiter for share in ledger.shares.values() for waiter in share.waiting} == set(self.waiting)
        for tenant, server in set(self.waiting.values()):
            share = ledger.shares[server, tenant, NONE]
            assert not share.idle, "an idle connection while somebody waits for it"
            if share.need <= 0 or ledger.barriers.bars(share):
                continue
            standing = share.standing
            if len(standing.places) >= standing.most:
                assert not any(ledger.places[one].tenant == tenant for one in ledger.idle)
            elif len(share.site.places) >= share.site.ceiling:
                assert not any(ledger.places[one].site is share.site for one in ledger.idle)
            else:
                assert len(ledger.places) >= self.ceiling
                assert not ledger.idle

    @invariant()
    def server_time_is_whose_it_was(self) -> None:
        for tenant, spent in self.ledger.spent.items():
            assert abs(self.ledger.standing(tenant).seconds - sum(seconds for seconds, _ in spent)) < 1e-6

    def teardown(self) -> None:
        """When every lease ends and everything asked for happens, everybody is served: no waiter starves."""
        if not hasattr(self, "ledger"):
            return
        world = self.world
        for _ in range(200):
            if not self.waiting:
                break
            for key in list(self.ledger.barriers):
                world.do(self.ledger.unblock(key))
            for connection in list(world.leased):
                self.ended(connection)
                world.end(connection)
            while world.openings or world.cleaning or world.closing:
                for opening in list(world.openings):
                    self.alive.add(world.open_one(opening))
                world.clean_all()
                self.alive -= set(world.closing)
                world.close_all()
            self.sync()
        assert not self.waiting, "somebody starved"


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(stateful_step_count=50)
