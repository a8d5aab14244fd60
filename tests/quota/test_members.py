"""Members: a part of a rate flows either into the store or to who is silent; nobody is given what another may hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.quota.exchange import UNIT, Request, Terms
from proxy.quota.members import Member, Members

TERMS = Terms(permit_ttl=10.0, quiet=0.5, settle=2.0)


def hear(members: Members, name: str, number: int, now: float, **more: object) -> Member | None:
    request = Request(name, number, ttl=10.0, **more)  # type: ignore[arg-type]  # fields by name
    return members.hear(request, members.tick(now))


def known(members: Members, name: str, now: float, share: int = 0) -> Member:
    member = hear(members, name, 1, now)
    assert member is not None
    member.share = share
    return member


def test_a_rate_flows_for_the_share_of_those_who_are_heard() -> None:
    members = Members("e", 0.0, TERMS)
    known(members, "a", 0.0, UNIT // 4)
    known(members, "b", 0.0, UNIT // 2)
    members.tick(0.4)
    assert members.flow == pytest.approx(0.4 * 0.75)


def test_a_silent_member_s_share_stops_flowing_after_the_quiet() -> None:
    members = Members("e", 0.0, TERMS)
    known(members, "a", 0.0, UNIT)
    members.tick(5.0)
    assert members.flow == pytest.approx(0.5)


def test_a_request_that_comes_after_a_later_one_or_too_late_is_not_heard() -> None:
    members = Members("e", 0.0, TERMS)
    assert hear(members, "a", 2, 1.0) is not None
    assert hear(members, "a", 1, 1.1) is None
    assert hear(members, "a", 2, 1.1) is None
    assert hear(members, "a", 3, 1.2, epoch="e", until=1.1) is None
    assert hear(members, "a", 4, 1.2, epoch="e", until=1.3) is not None
    assert members.all["a"].last == 1.2


def test_who_knew_a_store_that_knows_it_not_must_tell_everything() -> None:
    members = Members("e", 0.0, TERMS)
    assert hear(members, "a", 1, 1.0, epoch="old") is None
    assert hear(members, "a", 2, 1.0, epoch="old", whole=True) is not None


def test_nothing_is_given_before_the_store_has_settled_nor_to_one_whom_nobody_knows_yet() -> None:
    members = Members("e", 0.0, TERMS)
    early = known(members, "a", 0.0)
    assert not members.welcome(early, 1.9)
    assert members.welcome(early, 2.0)
    late = known(members, "b", 5.0)
    assert not members.welcome(late, 6.9)
    assert members.welcome(late, 7.0)


def test_an_empty_store_that_nobody_tells_of_an_earlier_one_waits_as_long_as_anybody_may_hold_something() -> None:
    members = Members("e", 0.0, replace(TERMS, empty=TERMS.permit_ttl))
    early = known(members, "a", 0.0)
    hear(members, "a", 2, 9.0, epoch="e")
    assert not members.welcome(early, 9.9)
    assert members.welcome(early, 10.0)
    late = known(members, "b", 20.0)
    assert not members.welcome(late, 21.9)
    assert members.welcome(late, 22.0)  # who comes later is known to the others soon


def test_an_epoch_opens_when_all_of_the_last_one_are_back() -> None:
    members = Members("e", 0.0, TERMS)
    first = hear(members, "a", 7, 0.1, epoch="old", whole=True, peers=2)
    assert first is not None
    assert first.claimed
    assert not members.open(3.0)
    hear(members, "new", 1, 3.0)
    assert not members.open(3.0)
    hear(members, "b", 9, 4.0, epoch="old", whole=True, peers=2)
    assert members.open(4.0)


def test_an_epoch_opens_without_those_who_must_have_given_everything_up() -> None:
    members = Members("e", 0.0, TERMS)
    hear(members, "a", 7, 0.1, epoch="old", whole=True, peers=2)
    assert not members.open(9.9)
    assert members.open(10.0)


def test_a_member_is_forgotten_after_its_time_of_silence() -> None:
    members = Members("e", 0.0, TERMS)
    known(members, "a", 0.0)
    known(members, "b", 0.0)
    for tenth in range(1, 104):
        hear(members, "b", 1 + tenth, tenth / 10)
        assert ("a" in members.all) == (tenth <= 100)


def test_time_in_which_nobody_was_heard_makes_nobody_dead() -> None:
    members = Members("e", 0.0, TERMS)
    known(members, "a", 0.0)
    known(members, "b", 0.0)
    hear(members, "a", 2, 1000.0, epoch="e")
    assert set(members.all) == {"a", "b"}


def test_who_leaves_is_gone_at_once() -> None:
    members = Members("e", 0.0, TERMS)
    known(members, "a", 0.0)
    assert hear(members, "a", 2, 0.1, leave=True) is None
    assert members.all == {}


def test_a_clock_that_goes_back_stands_still() -> None:
    members = Members("e", 10.0, TERMS)
    assert members.tick(5.0) == 10.0
