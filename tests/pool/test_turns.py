"""Turns: who is next, as a state machine against a list that is sorted anew each time; and nobody waits without end."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.pool.share import Share, Site, Standing
from proxy.pool.turns import HALF_LIFE, PATIENCE, Turns, demands, height
from tests.pool.ledgers import World

TENANTS = ("a", "b", "c", "d")
WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5, "d": 1.0}


@dataclass
class Tenant:
    """What the model knows of one."""

    share: Share[str, int]
    spent: list[tuple[float, float]] = field(default_factory=list)  # seconds, and when they were counted
    waiting: list[tuple[int, float]] = field(default_factory=list)


class TurnsMachine(RuleBasedStateMachine):
    """One share for each tenant. The model: lists, sorted by what the docstring of turns.py says."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: Turns[str, int] = Turns()
        self.now = self.ticked = 0.0
        self.serial = 0
        self.tenants = {}
        for name in TENANTS:
            standing: Standing[str, int] = Standing(name, weight=WEIGHTS[name])
            share = Share("server", name, frozenset(), Site[str]("site"), standing)
            standing.shares = (share,)
            self.tenants[name] = Tenant(share)
        self.tick(0.0)

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.ticked = self.now
        standings = [one.share.standing for one in self.tenants.values()]
        self.turns.tick(self.now, standings, standings)

    @rule(name=st.sampled_from(TENANTS))
    def comes(self, name: str) -> None:
        one = self.tenants[name]
        self.serial += 1
        one.waiting.append((self.serial, self.now))
        one.share.waiting[self.serial] = self.now
        if len(one.waiting) == 1:
            self.turns.place(one.share, self.now)

    @precondition(lambda self: any(one.waiting for one in self.tenants.values()))
    @rule(data=st.data())
    def leaves(self, data: st.DataObject) -> None:
        one = self.tenants[data.draw(st.sampled_from([name for name in TENANTS if self.tenants[name].waiting]))]
        waiter, _ = one.waiting.pop(data.draw(st.integers(0, len(one.waiting) - 1)))
        del one.share.waiting[waiter]
        self.turns.place(one.share, self.now)

    @rule(name=st.sampled_from(TENANTS), seconds=st.sampled_from([0.01, 1.0, 30.0]))
    def uses(self, name: str, seconds: float) -> None:
        one = self.tenants[name]
        one.share.standing.seconds += seconds
        one.spent.append((seconds, self.ticked))
        self.turns.place_all(one.share.standing, self.now)

    @rule(seconds=st.sampled_from([0.5, 3.0, 20.0, 5000.0]))
    def time_goes_on(self, seconds: float) -> None:
        self.tick(seconds)

    @invariant()
    def it_is_the_order_that_sorting_gives(self) -> None:
        def rank(one: Tenant) -> tuple[bool, float]:
            since = one.waiting[0][1]
            patient = self.now - since > PATIENCE
            used = sum(seconds * 0.5 ** ((self.ticked - when) / HALF_LIFE) for seconds, when in one.spent)
            return not patient, since if patient else used / one.share.standing.weight

        told = [next(one for one in self.tenants.values() if one.share is share) for share in self.turns]
        assert {id(one) for one in told} == {id(one) for one in self.tenants.values() if one.waiting}
        ranks = [rank(one) for one in told]
        for this, next_ in pairwise(ranks):
            assert this[0] < next_[0] or (this[0] == next_[0] and this[1] <= next_[1] * (1 + 1e-6) + 1e-9), ranks


TestTurns = TurnsMachine.TestCase
TestTurns.settings = effort(stateful_step_count=40)


@given(
    ceiling=st.integers(1, 4),
    tenants=st.integers(2, 12),
    lengths=st.lists(st.floats(0.01, 2.0), min_size=1, max_size=20),
)
@effort(max_examples=30)
def test_however_many_flood_nobodys_first_waiter_waits_longer_than_patience_and_one_round(
    ceiling: int, tenants: int, lengths: list[float]
) -> None:
    """Every tenant has more and more statements waiting; each lease takes one of the lengths."""
    world = World(ceiling)
    shares = [world.share(f"t{number}", weight=1.0 + number % 3) for number in range(tenants)]
    came: dict[int, float] = {}
    ends: dict[str, float] = {}
    longest = 0.0
    first = {id(share): 0.0 for share in shares}  # since when the tenant was not served

    def more(share: Share[str, int]) -> None:
        came[world.want(share)] = world.now

    for share in shares:
        more(share)
        more(share)
    for turn in range(200):
        world.settle()
        for waiter in world.lent:
            share = next(one for one in shares if world.holder(waiter) in one.leased)
            longest = max(longest, world.now - first[id(share)])
            first[id(share)] = world.now
            ends[world.holder(waiter)] = world.now + lengths[turn % len(lengths)]
            more(share)
        world.lent.clear()
        connection = min(ends, key=lambda one: ends[one])
        world.now = max(world.now, ends.pop(connection))
        world.ledger.tick(world.now)
        world.end(connection)
    round_ = (tenants / ceiling + 1) * max(lengths)
    assert longest <= PATIENCE + 1.0 + 2 * round_


def test_a_demand_is_what_is_in_use_and_what_could_be_used_up_to_the_limit() -> None:
    world = World(9)
    acme, globex = world.share("acme", limit=3), world.share("globex", "b")
    for _ in range(7):
        world.want(acme)
        world.want(globex)
    told = {standing.tenant: want for standing, want in demands(world.ledger.shares.values()).items()}
    assert told == {"acme": 3, "globex": 7}
    blocked = demands(world.ledger.shares.values(), lambda share: share is globex)
    assert blocked[globex.standing] == globex.busy
    assert height(9, world.ledger.shares.values()) == 5.0
    assert height(99, world.ledger.shares.values()) == float("inf")
