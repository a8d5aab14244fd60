"""Verifiers that a server keeps: what it tells counts for the logins that were asked for, and for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from proxy.auth.scram import build_verifier, parse_verifier
from proxy.catalog import verifiers as module
from proxy.catalog.verifiers import KEEP, VerifierQuery
from proxy.catalog.watch import FAILURES
from proxy.errors import ConfigurationError
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import Cluster

FIRST, SECOND = (build_verifier(one, b"0123456789abcdef", 10) for one in ("first", "second"))
Asks = Callable[..., VerifierQuery]


@pytest.fixture
async def asks(postgres15: Cluster) -> AsyncIterator[Asks]:
    made: list[VerifierQuery] = []

    def build(query: str, *names: str, clock: Callable[[], float] = lambda: 0.0) -> VerifierQuery:
        server = Server("127.0.0.1", postgres15.port, "postgres", "postgres")
        made.append(VerifierQuery(server, Credentials(tls="disable"), query, names, clock))
        return made[-1]

    yield build
    for one in made:
        await one.close()


def values(*rows: tuple[str, str | None]) -> str:
    return "SELECT * FROM (VALUES " + ", ".join(f"('{a}', {'NULL' if b is None else repr(b)})" for a, b in rows) + ") r"


async def test_the_server_is_given_the_names_and_believed_about_them(asks: Asks) -> None:
    query = asks(f"SELECT n, '{FIRST}' FROM unnest($1::text[]) n", "a", "b")
    await query.start()
    assert [query.verifier(one) for one in ("a", "b", "c")] == [parse_verifier(FIRST), parse_verifier(FIRST), None]
    assert query.statistics() == module.VerifierStatistics(1, 0, 2)


async def test_what_is_no_verifier_of_a_login_that_was_asked_for_counts_for_nothing(asks: Asks) -> None:
    rows = [("a", FIRST), ("other", FIRST), ("none", None), ("md5", "md5" + "0" * 32), ("two", FIRST), ("two", SECOND)]
    query = asks(values(*rows) + " WHERE $1::text[] IS NOT NULL", "a", "none", "md5", "two")
    await query.start()
    assert [one for one in ("a", "other", "none", "md5", "two") if query.verifier(one)] == ["a"]


@pytest.mark.parametrize("query", ["SELECT 1 WHERE $1::text[] IS NULL OR true", "SELECT nonsense($1)", "DROP ROLE x"])
async def test_a_query_that_cannot_be_used_is_an_error_at_the_start(asks: Asks, query: str) -> None:
    with pytest.raises(FAILURES):
        await asks(query, "a").start()


async def test_a_query_reads_only(asks: Asks) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await asks(
            "DELETE FROM pg_description WHERE description = ANY ($1) RETURNING description, description", "a"
        ).start()


async def test_without_the_server_what_it_told_counts_for_a_while_and_then_for_nothing(asks: Asks) -> None:
    now = [0.0]
    query = asks(f"SELECT n, '{FIRST}' FROM unnest($1::text[]) n", "a", clock=lambda: now[0])
    await query.start()
    now[0] = KEEP
    kept = query.verifier("a")
    assert kept is not None
    assert not kept.mock
    now[0] = KEEP + 1
    old = query.verifier("a")
    assert old is not None
    assert (old.salt, old.mock) == (kept.salt, True)  # the same challenge, and nothing passes
    assert query.statistics().known == 0


async def test_a_changed_password_is_asked_for_soon_after_a_wrong_one(
    asks: Asks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SPACING", 0.0)
    query = asks(f"SELECT n, '{SECOND}' FROM unnest($1::text[]) n", "a")
    query._known = {"a": parse_verifier(FIRST)}
    query._task = asyncio.create_task(query._run())
    assert query.verifier("a") == parse_verifier(FIRST)
    query.hurry()
    async with asyncio.timeout(20):
        while query.verifier("a") != parse_verifier(SECOND):  # noqa: ASYNC110 no event tells it
            await asyncio.sleep(0.01)


async def test_a_server_that_is_away_is_counted_and_asked_again(asks: Asks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPACING", 0.0)
    query = asks(f"SELECT n, '{FIRST}' FROM unnest($1::text[]) n", "a")
    await query.start()
    assert query._connection is not None
    query._connection.terminate()
    query.hurry()
    async with asyncio.timeout(20):
        while query.statistics().looks < 2:
            await asyncio.sleep(0.01)
            query.hurry()
        while query.statistics().looks - query.statistics().failures < 2:
            await asyncio.sleep(0.01)
            query.hurry()
    assert query.statistics().failures == 1
    assert query.verifier("a") is not None


async def test_more_columns_than_two_are_a_misunderstanding() -> None:
    with pytest.raises(ConfigurationError, match="two columns"):
        await module._known([("a", FIRST, "x")], frozenset("a"))


async def test_ten_thousand_verifiers_are_looked_at_in_pieces(asks: Asks) -> None:
    names = [f"login{number}" for number in range(3 * module.SLICE)]
    query = asks(f"SELECT n, '{FIRST}' FROM unnest($1::text[]) n", *names)
    rows = [(name, FIRST) for name in [*names, names[0]]]
    looking = asyncio.ensure_future(module._known(rows, frozenset(names)))
    turns = 0
    while not looking.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 4
    assert (await looking).keys() == frozenset(names[1:])
    await query.start()
    assert query.statistics().known == len(names)
