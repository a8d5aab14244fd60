"""The plan cache: no plan for a text that it was not made for, and never more bytes than allowed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.sql.cache import BEGIN, LIKES, VARIANTS, PlanCache
from proxy.sql.lift import Lifted, lift
from proxy.sql.plan import Owner, Planned, Reject, StatementKind


def planned(message: str, literals: tuple[bytes, ...] = ()) -> Planned:
    return Planned((Reject(StatementKind.SELECT, "0A000", message),), literals, message)


def lifted(text: bytes) -> Lifted:
    found = lift(text)
    assert found is not None
    return found


def test_a_plan_is_found_by_its_whole_key_only() -> None:
    cache = PlanCache(1 << 20)
    cache.put_exact(("a", 1), b"SELECT 1", planned("x"))
    assert cache.get(("a", 1), b"SELECT 1") is not None
    assert cache.get(("a", 2), b"SELECT 1") is None
    assert cache.get(("a", 1), b"SELECT 2") is None
    assert cache.get_shape(("a", 1), lifted(b"SELECT 1")) is None


def test_literals_that_are_no_holes_are_compared() -> None:
    cache = PlanCache(1 << 20)
    first = lifted(b"SELECT 1 FROM t WHERE a = 2")
    cache.put_shape("k", first, planned("x", first.literals), frozenset({1}))
    same = cache.get_shape("k", lifted(b"SELECT 1 FROM t WHERE a = 3"))
    assert same is not None
    assert same.literals == (b"1", b"3")
    assert cache.get_shape("k", lifted(b"SELECT 9 FROM t WHERE a = 2")) is None


def test_variants_of_one_shape_stand_side_by_side_up_to_a_number() -> None:
    cache = PlanCache(1 << 20)
    for number in range(VARIANTS + 1):
        one = lifted(f"SELECT {number}".encode())
        cache.put_shape("k", one, planned(str(number), one.literals), frozenset())
    assert cache.get_shape("k", lifted(b"SELECT 0")) is None
    for number in range(1, VARIANTS + 1):
        found = cache.get_shape("k", lifted(f"SELECT {number}".encode()))
        assert found is not None
        assert found.shape == str(number)


def test_the_bytes_are_bounded_and_the_least_used_goes_first() -> None:
    cache = PlanCache(20_000)
    for number in range(100):
        cache.put_exact("k", f"SELECT {number}".encode(), planned("x"))
        assert cache.get("k", b"SELECT 0") is not None
        assert cache.statistics().bytes <= 20_000
    assert cache.get("k", b"SELECT 1") is None
    assert cache.get("k", b"SELECT 99") is not None
    assert cache.statistics().evictions > 0


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    for size in (0, 1000):
        cache = PlanCache(size)
        cache.put_exact("k", b"x" * 2000, planned("x"))
        assert (cache.statistics().entries, cache.statistics().bytes) == (0, 0)


def test_putting_again_counts_the_bytes_once() -> None:
    cache = PlanCache(1 << 20)
    cache.put_exact("k", b"SELECT 1", planned("x"))
    before = cache.statistics().bytes
    cache.put_exact("k", b"SELECT 1", planned("x"))
    assert cache.statistics().bytes == before


def test_a_text_like_another_has_its_plans_and_no_other_text_has() -> None:
    cache = PlanCache(1 << 20)
    text = b"SELECT something FROM a_long_name WHERE a = 2"
    one = lifted(text)
    cache.put_shape("k", one, planned("x", one.literals), frozenset({0}))
    assert cache.get("k", text) is None
    cache.learn("k", text, one)
    found = cache.get("k", b"SELECT something FROM a_long_name WHERE a = 3")
    assert found is not None
    assert (found.literals, found.cache) == ((b"3",), "l2")
    assert cache.statistics().hits_l2 == 1
    assert cache.get("another", text) is None
    assert cache.get("k", b"SELECT something FROM a_long_name WHERE a=-2") is None
    assert cache.get("k", b"SELECT something FROM a_long_name WHERE b = 2") is None


def test_a_like_text_has_the_same_booleans_at_their_places() -> None:
    cache = PlanCache(1 << 20)
    text = b"SELECT something FROM a_long_name WHERE a = 2 AND b = true AND c = 3 AND d = FALSE"
    one = lifted(text)
    cache.put_shape("k", one, planned("x", one.literals), frozenset(range(4)))
    cache.learn("k", text, one)
    found = cache.get("k", text.replace(b"2", b"7"))
    assert found is not None
    assert found.literals == (b"7", b"true", b"3", b"FALSE")
    assert cache.get("k", text.replace(b"true AND c = 3", b"false AND c = ")) is None
    other = cache.get_shape("k", lifted(text.replace(b"true", b"false")))
    assert other is not None
    assert other.literals[1] == b"false"


def test_a_literal_that_decided_something_is_compared_in_a_like_text_too() -> None:
    cache = PlanCache(1 << 20)
    text = b"SELECT something, else_ + 1 FROM t WHERE a = 2"
    one = lifted(text)
    cache.put_shape("k", one, planned("x", one.literals), frozenset({1}))
    cache.learn("k", text, one)
    assert cache.get("k", b"SELECT something, else_ + 1 FROM t WHERE a = 3") is not None
    assert cache.get("k", b"SELECT something, else_ + 2 FROM t WHERE a = 2") is None


def test_a_plan_that_was_pushed_out_is_not_found_by_likeness_and_what_is_known_is_bounded() -> None:
    cache = PlanCache(20_000)
    text = b"SELECT 1"
    one = lifted(text)
    cache.put_shape("k", one, planned("x", one.literals), frozenset({0}))
    cache.learn("k", text, one)
    for number in range(100):
        cache.put_exact("k", f"SELECT {number}".encode(), planned("x"))
    assert cache.get("k", text) is None
    for number in range(LIKES + 1):
        cache.learn("k", f"SELECT a{number:0{BEGIN}} + 1".encode(), lifted(f"SELECT a{number:0{BEGIN}} + 1".encode()))
        cache.learn(number, text, one)
    assert len(cache._likes) <= LIKES


ACME, GLOBEX = Owner("acme"), Owner("globex")
ROOM = 100_000


def flood(cache: PlanCache, owner: Owner, count: int, begin: int = 0) -> None:
    for number in range(begin, begin + count):
        cache.put_exact("k", f"SELECT {number} -- {owner.tenant}".encode(), planned("x"), owner)


def kept(cache: PlanCache, owner: Owner, count: int) -> int:
    return sum(cache.get("k", f"SELECT {number} -- {owner.tenant}".encode()) is not None for number in range(count))


def test_a_flood_of_one_tenant_leaves_the_plans_of_another() -> None:
    cache = PlanCache(ROOM)
    flood(cache, ACME, 20)
    flood(cache, GLOBEX, 5000)
    assert kept(cache, ACME, 20) == 20
    assert cache.held_by("acme") + cache.held_by("globex") == cache.statistics().bytes <= ROOM
    assert cache.held_by("globex") > ROOM // 2


def test_who_had_the_cache_alone_makes_room_for_others_up_to_equal_parts() -> None:
    cache = PlanCache(ROOM)
    flood(cache, GLOBEX, 1000)
    flood(cache, ACME, 1000)
    assert abs(cache.held_by("acme") - cache.held_by("globex")) < 2000
    initech = Owner("initech")
    flood(cache, initech, 20)
    assert kept(cache, initech, 20) == 20


def test_a_share_of_its_own_bounds_a_tenant_also_while_there_is_room() -> None:
    cache = PlanCache(ROOM)
    bounded = Owner("globex", 10_000)
    flood(cache, bounded, 500)
    assert 8_000 < cache.held_by("globex") <= 10_000
    assert cache.get("k", b"SELECT 499 -- globex") is not None
    cache.put_exact("k", b"SELECT 'x" + b"x" * 10_000 + b"'", planned("x"), bounded)
    assert cache.get("k", b"SELECT 499 -- globex") is not None  # what is larger than the share is not kept


def test_a_plan_serves_everybody_and_stays_with_who_brought_it() -> None:
    cache = PlanCache(ROOM)
    flood(cache, ACME, 1)
    held = cache.held_by("acme")
    assert cache.get("k", b"SELECT 0 -- acme") is not None
    assert (cache.held_by("acme"), cache.held_by("globex")) == (held, 0)
    cache.put_exact("k", b"SELECT 0 -- acme", planned("x"), GLOBEX)  # planned by both at the same time
    assert (cache.held_by("acme"), cache.held_by("globex")) == (0, held)
    assert cache.statistics().entries == 1


def test_variants_of_a_shape_do_not_push_out_those_of_another_tenant() -> None:
    cache = PlanCache(1 << 20)
    for tenant, count in ((ACME, 3), (GLOBEX, 100)):
        for number in range(count):
            one = lifted(f"SELECT {number if tenant is GLOBEX else number + 1000}".encode())
            cache.put_shape("k", one, planned("x", one.literals), frozenset(), tenant)
    assert all(cache.get_shape("k", lifted(f"SELECT {number + 1000}".encode())) for number in range(3))
    assert cache.get_shape("k", lifted(b"SELECT 99")) is not None
    assert cache.get_shape("k", lifted(b"SELECT 1")) is None


SHARES = {"a": None, "b": 3000, "c": 9000, "d": None}


@given(st.lists(st.tuples(st.sampled_from(sorted(SHARES)), st.integers(0, 30), st.integers(0, 3000)), max_size=80))
def test_the_books_are_right_whatever_comes(steps: list[tuple[str, int, int]]) -> None:
    cache = PlanCache(20_000)
    for tenant, number, size in steps:
        one, owner = lifted(b"SELECT " + b"a" * (number % 4) + b" %d" % number), Owner(tenant, SHARES[tenant])
        if number % 2:
            cache.put_exact("k", b"t%d" % number, planned("x" * size), owner)
        else:
            cache.put_shape("k", one, planned("x" * size, one.literals), frozenset(), owner)
        held = [cache.held_by(name) for name in SHARES]
        assert sum(held) == cache.statistics().bytes <= 20_000
        assert cache.held_by(tenant) <= (SHARES[tenant] or 20_000)
        assert (cache.statistics().bytes == 0) == (cache.statistics().entries == 0)


def test_every_number_is_given_once() -> None:
    cache = PlanCache(1 << 20)
    assert len({cache.number() for _ in range(100)}) == 100


def test_what_a_tenant_brought_in_is_dropped_and_what_others_did_stays() -> None:
    cache = PlanCache(1 << 20)
    for tenant in ("acme", "globex"):
        for number in range(3):
            cache.put_exact((tenant, number), b"SELECT 1", planned("x"), Owner(tenant))
    cache.drop("acme")
    cache.drop("nobody")
    assert cache.get(("acme", 1), b"SELECT 1") is None
    assert cache.get(("globex", 1), b"SELECT 1") is not None
    assert cache.held_by("acme") == 0
    assert cache.statistics().entries == 3
