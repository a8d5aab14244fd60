"""Wrong proofs slow down further ones: from the same place only, for a while only, and never for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth import throttle as module
from proxy.auth.throttle import CEILING, FIRST, PAIR, PLACE, Attempt, Throttle

HERE, THERE = "192.0.2.1", "192.0.2.2"


def proof(
    throttle: Throttle, login: str = "alice", address: str = HERE, right: bool = False, now: float = 0.0
) -> float:
    """One whole attempt: what its answer waited."""
    attempt = throttle.weigh(login, address, right, now)
    assert attempt is not None
    throttle.end(attempt, True)
    return attempt.delay


def guess(throttle: Throttle, times: int, login: str = "alice", address: str = HERE) -> list[float]:
    return [proof(throttle, login, address) for _ in range(times)]


def test_a_few_mistakes_are_free_and_then_each_costs_twice_the_last_up_to_the_ceiling() -> None:
    free = [0.0] * PAIR.free
    assert guess(Throttle(), PAIR.free + 7) == [*free, FIRST, 0.5, 1.0, 2.0, 4.0, CEILING, CEILING]


def test_a_right_password_waits_as_a_wrong_one_does_or_the_wait_would_tell() -> None:
    throttle = Throttle()
    guess(throttle, 8)
    assert proof(throttle, right=True) == CEILING
    assert proof(throttle) == 0.0  # and with it all is forgiven


def test_a_login_that_does_not_exist_waits_as_one_that_does() -> None:
    """Nothing here knows which is which: that they are told apart by nothing is all there is to see."""
    assert guess(Throttle(), 9, "alice") == guess(Throttle(), 9, "nobody")


def test_no_other_address_feels_it() -> None:
    throttle = Throttle()
    guess(throttle, 500)
    assert proof(throttle, address=THERE, right=True) == 0.0


def test_what_was_wrong_is_forgotten_with_time() -> None:
    throttle = Throttle()
    guess(throttle, PAIR.free + 1)
    assert proof(throttle, right=True, now=PAIR.forget * 2) == 0.0


def test_one_password_for_many_logins_is_seen_by_the_address() -> None:
    throttle = Throttle()
    waits = [proof(throttle, f"login{number}") for number in range(PLACE.free + 7)]
    assert waits[: PLACE.free] == [0.0] * PLACE.free
    assert waits[-1] == CEILING


def test_addresses_that_one_host_commands_are_one() -> None:
    throttle = Throttle()
    waits = [proof(throttle, address=f"2001:db8::{number:x}") for number in range(PAIR.free + 6)]
    assert waits[-1] == CEILING
    assert proof(throttle, address="2001:db8:0:1::1") == 0.0


def test_who_was_right_here_before_does_not_wait_for_what_others_do_here() -> None:
    """A pool of an application behind the same address as somebody who tries names."""
    throttle = Throttle()
    proof(throttle, "app", right=True)
    for number in range(1000):
        proof(throttle, f"login{number}")
    assert proof(throttle, "app", right=True) == 0.0
    assert proof(throttle, "new", right=True) == CEILING


def test_guesses_in_parallel_gain_nothing() -> None:
    throttle = Throttle()
    guess(throttle, 10)
    held: list[Attempt] = []
    while (attempt := throttle.weigh("alice", HERE, False, 0.0)) is not None:
        held.append(attempt)
    assert len(held) == PAIR.waiting
    assert throttle.weigh("alice", HERE, True, 0.0) is None  # not looked at: the answer is the same for a right one
    assert throttle.refused == 2
    throttle.end(held.pop(), answered=False)  # who leaves gives its place back
    assert throttle.weigh("alice", HERE, True, 0.0) is not None


def test_a_right_proof_whose_client_left_before_the_answer_forgives_nothing() -> None:
    throttle = Throttle()
    guess(throttle, 10)
    attempt = throttle.weigh("alice", HERE, True, 0.0)
    assert attempt is not None
    throttle.end(attempt, answered=False)
    assert proof(throttle) == CEILING


def test_memory_is_bounded_by_what_strangers_cannot_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ACCOUNTS", 50)
    throttle = Throttle()
    for number in range(1000):
        proof(throttle, "x" * 10_000 + str(number), f"10.0.{number % 256}.{number // 256}")
    assert (len(throttle._pairs), len(throttle._places)) == (50, 50)
    assert max(len(login) for login, _ in throttle._pairs) == module.NAME


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 100), st.integers(0, 5)), max_size=80))
def test_whatever_happens_nobody_waits_longer_than_the_ceiling_and_no_place_is_lost(
    steps: list[tuple[bool, bool, float, int]],
) -> None:
    throttle = Throttle()
    now = 0.0
    held: list[Attempt] = []
    for right, leaves, later, finished in steps:
        now += later
        attempt = throttle.weigh("alice", HERE, right, now)
        if attempt is not None:
            assert 0.0 <= attempt.delay <= CEILING
            held.append(attempt)
        for one in held[:finished]:
            throttle.end(one, answered=not leaves)
        del held[:finished]
    for one in held:
        throttle.end(one, answered=True)
    assert [one.waiting for one in (*throttle._pairs.values(), *throttle._places.values())] == [0] * (
        len(throttle._pairs) + len(throttle._places)
    )


def test_what_another_process_weighed_counts_here_as_well() -> None:
    alone, first, second = Throttle(), Throttle(2), Throttle(2)
    waits = guess(alone, PAIR.free + 5)
    shared = []
    for number in range(PAIR.free + 5):
        here, there = (first, second) if number % 2 else (second, first)
        shared.append(proof(here))
        there.note("alice", HERE, False, 0.0)
    assert shared == waits


def test_a_right_proof_is_news_until_everybody_knows() -> None:
    here, there = Throttle(2), Throttle(2)
    news = []
    for right in (True, True, False, True, True):
        attempt = here.weigh("alice", HERE, right, 0.0)
        assert attempt is not None
        news.append(here.end(attempt, answered=True))
    assert news == [True, False, False, True, False]
    guess(there, 10)
    there.note("alice", HERE, True, 0.0)
    assert proof(there, right=True) == 0.0


def test_each_of_several_processes_has_its_part_of_the_answers_that_may_wait() -> None:
    throttle = Throttle(4)
    guess(throttle, PAIR.free)
    held = [throttle.weigh("alice", HERE, False, 0.0) for _ in range(PAIR.waiting)]
    assert sum(one is not None for one in held) == PAIR.waiting // 4
