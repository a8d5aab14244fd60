"""Barriers: shut, ajar for one, lifted; and who may hope meanwhile."""

from __future__ import annotations

from proxy.pool.barriers import Barriers
from proxy.pool.share import Opening
from tests.pool.ledgers import World


def test_what_is_shut_lets_nothing_pass_and_what_is_ajar_one() -> None:
    world = World(9)
    acme, globex, elsewhere = world.share("acme"), world.share("globex"), world.share("acme", "b")
    barriers: Barriers[str, int] = Barriers()
    assert not barriers.bars(acme)
    barriers.shut("a")
    assert (barriers.barring(acme), barriers.barring(elsewhere)) == ("a", None)
    barriers.ajar("a")
    assert not barriers.bars(acme)
    first, second = Opening(), Opening()
    barriers.begun(first, acme)
    assert barriers.bars(acme)
    assert barriers.bars(globex)
    barriers.ajar("a")
    assert barriers.bars(globex)
    barriers.ended(second)
    assert barriers.bars(globex)
    barriers.ended(first)
    assert not barriers.bars(globex)
    barriers.lift("a")
    assert len(barriers) == 0


def test_a_barrier_that_nobody_put_up_cannot_be_ajar() -> None:
    barriers: Barriers[str, int] = Barriers()
    barriers.ajar("a")
    barriers.lift("a")
    assert list(barriers) == []


def test_one_that_is_shut_again_is_not_opened_by_the_end_of_who_tried() -> None:
    share = World(9).share("acme")
    barriers: Barriers[str, int] = Barriers()
    trial = Opening()
    barriers.shut("a")
    barriers.ajar("a")
    barriers.begun(trial, share)
    barriers.shut("a")
    barriers.ended(trial)
    assert barriers.bars(share)


def test_who_comes_hopes_for_a_connection_that_there_is_and_not_for_the_one_that_is_tried() -> None:
    share = World(9).share("acme")
    barriers: Barriers[str, int] = Barriers()
    trial, other = Opening(), Opening()
    barriers.shut(share.key)
    assert barriers.hopeless(share) == share.key
    barriers.ajar(share.key)
    assert barriers.hopeless(share) is None
    barriers.begun(trial, share)
    share.opening[trial] = None
    assert barriers.hopeless(share) == share.key
    share.opening[other] = None  # from before
    assert barriers.hopeless(share) is None
    del share.opening[other]
    share.leased["c1"] = 0.0
    assert barriers.hopeless(share) is None
