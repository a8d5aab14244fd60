"""A tenant's isolation mode changes under its open sessions: those that can go on do, whatever they have set and
prepared, and their statements mean what the new mode says; the others end, and none is ever told an error of another
kind.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise

import asyncpg
import psycopg
import pytest

from proxy.fleet.control import Pause, Prepare, Reload, Resume, Statistics
from tests.kit.books import eventually
from tests.kit.changing import Turning, changing, said_in, turning
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy
from tests.kit.rawclient import RawClient

SECONDS = 20.0
SAID = "SELECT said FROM items WHERE id = 1"
# A walk over every change from one mode to another, once: the first part of it is enough to have had each mode twice.
MODES = ("row", "schema", "database", "rls", "row+rls")
WALK = [MODES[int(one)] for one in "012031423021041324340"]
SHORT = 9


@pytest.fixture(scope="module")
def turned(postgres18: Cluster) -> Iterator[Turning]:
    with changing(postgres18) as places, turning(places, "row") as turned:
        yield turned


def test_the_walk_is_over_every_pair() -> None:
    assert len(set(pairwise(WALK))) == len(WALK) - 1 == 20


def test_sessions_go_on_with_what_they_set_and_prepared_through_every_change(turned: Turning, effort: int) -> None:
    turned.turn(WALK[0])
    walk = WALK if effort > 1 else WALK[:SHORT]
    with ExitStack() as stack:
        proxy = turned.proxy
        idle = stack.enter_context(proxy.connect("globex_app", options="-c statement_timeout=77s"))
        greeted = dict(idle.parameters)
        driver = stack.enter_context(psycopg.connect(proxy.dsn("globex_app"), autocommit=True))
        assert idle.simple("SET work_mem = '5MB'; SET app.mine = 'x'; SET application_name = 'till'").errors == []
        assert idle.simple(f"PREPARE said AS {SAID}").errors == []
        parsed = "SELECT said, %s::int FROM items WHERE id = %s"
        runner = stack.enter_context(asyncio.Runner())
        other = runner.run(asyncpg.connect(proxy.dsn("globex_app")))
        stack.callback(lambda: runner.run(other.close()))
        prepared = runner.run(other.prepare("SELECT said FROM items WHERE id = $1"))
        for number, mode in enumerate(walk):
            if number:
                turned.turn(mode)
            wanted = said_in(mode).encode()
            assert idle.simple(SAID).rows == [(wanted,)], mode
            assert idle.simple("EXECUTE said").rows == [(wanted,)]
            assert idle.extended("SELECT said FROM items WHERE id = $1", [b"1"]).rows == [(wanted,)]
            shown = [idle.simple(f"SHOW {name}").rows for name in ("work_mem", "app.mine", "statement_timeout")]
            assert shown == [[(b"5MB",)], [(b"x",)], [(b"77s",)]]
            assert idle.simple("SELECT current_setting('application_name')").rows == [(b"till",)]
            assert idle.parameters == greeted | {"application_name": "till"}
            assert driver.execute(parsed, (number, 1), prepare=True).fetchall() == [(said_in(mode), number)]
            assert driver.execute("SELECT count(*) FROM items").fetchone() == (3,)
            assert runner.run(prepared.fetchval(1)) == said_in(mode)
            assert runner.run(other.fetchval("SELECT said FROM items WHERE id > $1 LIMIT 1", 0)) == said_in(mode)


@pytest.mark.parametrize(("before", "after"), [("schema", "row"), ("database", "row")])
def test_a_transaction_ends_where_it_began_and_what_lives_on_a_connection_ends_the_session(
    turned: Turning, before: str, after: str
) -> None:
    pinning = {
        "a temporary table": "CREATE TEMP TABLE mine (id int)",
        "a held cursor": "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT",
        "an advisory lock": "SELECT pg_advisory_lock(1)",
    }
    with ExitStack() as stack:
        turned.turn(before)
        connect: Callable[[], RawClient] = lambda: stack.enter_context(turned.proxy.connect("globex_app"))  # noqa: E731
        inside, failed = connect(), connect()
        begun = inside.simple(f"BEGIN; {SAID}")
        assert (begun.errors, begun.rows) == ([], [(said_in(before).encode(),)])
        assert failed.simple("BEGIN; SELECT 1/0").errors != []
        kept = {name: connect() for name in pinning}
        for name, client in kept.items():
            assert client.simple(pinning[name]).errors == [], name
        listening = connect()
        assert listening.simple("LISTEN news").errors == []
        turned.turn(after)
        told = listening.collect("")  # without a word of its own: it would wait for ever
        assert [one["C"] for one in told.errors] == ["57P01"]
        assert inside.simple(SAID).rows == [(said_in(before).encode(),)]
        assert inside.simple("COMMIT").errors == []
        assert inside.simple(SAID).rows == [(said_in(after).encode(),)]
        assert failed.simple("ROLLBACK").errors == []
        assert failed.simple(SAID).rows == [(said_in(after).encode(),)]
        for name, client in kept.items():
            ended = client.simple(SAID)
            assert ([one["C"] for one in ended.errors], ended.rows) == (["57P01"], []), name


def held(proxy: Proxy) -> int:
    count: int = proxy.ask(Statistics("globex")).result["processes"][0]["tenants"][0]["held"]
    return count


def switched(turned: Turning, mode: str, meanwhile: Callable[[], object] = lambda: None) -> None:
    """As a move switches: prepared, in a pause, without a look at any catalog in it."""
    draft = turned.file.with_name(".sample.yaml.draft")
    draft.write_text(turned.places.rules(mode), "utf-8")
    proxy = turned.proxy
    assert proxy.ask(Prepare("sample.yaml", draft.name)).problems == ()
    looked = looks(proxy)
    assert proxy.ask(Pause("globex", "store")).problems == ()
    meanwhile()
    draft.replace(turned.file)
    answer = proxy.ask(Reload(draft.name))
    assert (answer.problems, answer.result is None) == ((), False)
    home = proxy.ask(Statistics("globex")).result["processes"][0]["homes"]["store"]
    assert home == {"at": turned.places.grant(mode).home, "open": True}
    assert looks(proxy) == looked
    assert proxy.ask(Resume("globex", "store")).problems == ()


def looks(proxy: Proxy) -> str:
    """How often each catalog was read."""
    return "\n".join(one for one in proxy.metrics().splitlines() if one.startswith("partywall_catalog_version"))


@pytest.mark.parametrize(("before", "after"), [("row", "schema"), ("row", "database"), ("rls", "row")])
def test_who_is_held_while_the_mode_is_switched_is_planned_and_sent_by_the_new_one(
    turned: Turning, before: str, after: str
) -> None:
    found: dict[str, object] = {}
    with ExitStack() as stack:
        turned.turn(before)
        proxy = turned.proxy
        clients = [stack.enter_context(psycopg.connect(proxy.dsn("globex_app"), autocommit=True)) for _ in range(4)]
        plain, prepared = (stack.enter_context(proxy.connect("globex_app")) for _ in range(2))
        parsed = ("SELECT said FROM items WHERE id = %s", (1,))
        clients[1].execute(*parsed, prepare=True)
        assert prepared.simple(f"PREPARE said AS {SAID}").errors == []

        def copied() -> None:
            with clients[3].cursor().copy("COPY items (tenant_id, id, said) FROM STDIN") as copy:
                copy.write_row((2, 50, "copied"))
            found["copied"] = clients[3].execute("SELECT said FROM items WHERE id = 50").fetchone()
            clients[3].execute("DELETE FROM items WHERE id = 50")

        def several() -> None:
            cursor = clients[2].execute(f"SELECT 1; {SAID}")
            cursor.nextset()
            found["several"] = cursor.fetchall()

        works = {
            "plain": lambda: found.update(plain=plain.simple(SAID).rows),
            "extended": lambda: found.update(extended=clients[0].execute(*parsed, prepare=False).fetchall()),
            "driver": lambda: found.update(driver=clients[1].execute(*parsed, prepare=True).fetchall()),
            "several": several,
            "execute": lambda: found.update(execute=prepared.simple("EXECUTE said").rows),
            "copied": copied,
        }
        threads = [threading.Thread(target=one) for one in works.values()]

        def meanwhile() -> None:
            for one in threads:
                one.start()
            assert eventually(lambda: held(proxy) == len(works), SECONDS)

        switched(turned, after, meanwhile)
        for one in threads:
            one.join(SECONDS)
        wanted = said_in(after)
        raw = [(wanted.encode(),)]
        assert found == {
            "plain": raw, "execute": raw, "extended": [(wanted,)], "driver": [(wanted,)], "several": [(wanted,)],
            "copied": ("copied",),
        }  # fmt: skip


def asking(client: RawClient, found: list[object]) -> None:
    found.append(client.extended(SAID).rows)


def test_a_schema_that_no_session_has_used_is_opened_by_the_first_statement_that_needs_it(turned: Turning) -> None:
    """After a reload there is none yet, and nobody logs in anew who would wait for it."""
    turned.turn("database")
    with ExitStack() as stack:
        clients = [stack.enter_context(turned.proxy.connect("globex_app")) for _ in range(3)]
        found: list[object] = []
        turned.turn("schema")
        works = [partial(asking, client, found) for client in clients]
        threads = [threading.Thread(target=one) for one in works]
        for one in threads:
            one.start()
        for one in threads:
            one.join(SECONDS)
        assert found == [[(b"schema",)]] * 3


def test_a_place_that_cannot_be_opened_ends_the_sessions_and_refuses_the_move(turned: Turning) -> None:
    turned.turn("row")
    places = turned.places
    cluster = places.cluster
    with turned.proxy.connect("globex_app") as client:
        cluster.psql(sql="ALTER ROLE globex_schema CREATEROLE")
        try:
            draft = turned.file.with_name(".sample.yaml.draft")
            draft.write_text(places.rules("schema"), "utf-8")
            (problem,) = turned.proxy.ask(Prepare("sample.yaml", draft.name)).problems
            assert "tenant globex could not be opened" in problem
            assert client.simple(SAID).rows == [(b"row",)]
            turned.turn("schema")
            assert [one["C"] for one in client.simple(SAID).errors] == ["57P01"]
        finally:
            cluster.psql(sql="ALTER ROLE globex_schema NOCREATEROLE")


FLIPS = ((Turning.turn, ""), (switched, "row"), (switched, ""), (Turning.turn, "row"))  # "": to the other mode


@pytest.mark.parametrize("other", ["schema", "database", "rls"])
def test_drivers_under_load_see_no_error_while_the_mode_goes_to_and_fro(
    turned: Turning, other: str, effort: int
) -> None:
    """By reloads and by switches. Every answer is of a mode that was in force while it was asked for."""
    over = threading.Event()
    wrong: list[object] = []
    counts = [0, 0, 0]
    known = {"row", said_in(other)}

    def sync(number: int, prepare: bool) -> None:
        try:
            with psycopg.connect(turned.proxy.dsn("globex_app"), autocommit=True) as connection:
                connection.execute("SET work_mem = '6MB'")
                while not over.is_set():
                    rows = connection.execute("SELECT said, tenant_id FROM items WHERE id < %s", (9,), prepare=prepare)
                    check(rows.fetchall())
                    with connection.transaction():
                        one, two = (connection.execute(SAID).fetchone() for _ in range(2))
                        if one != two:
                            wrong.append((one, two))
                    counts[number] += 1
        except Exception as problem:  # whatever it is, there must be none
            wrong.append(problem)

    def check(rows: list[tuple[str, int]]) -> None:
        said = {one for one, _ in rows}
        if len(rows) != 3 or len(said) != 1 or not said <= known or {key for _, key in rows} != {2}:
            wrong.append(rows)

    def gone_on(before: list[int]) -> bool:
        return bool(wrong) or all(now > old for now, old in zip(counts, before, strict=True))

    async def asynchronous() -> None:
        async with asyncpg.create_pool(turned.proxy.dsn("globex_app"), min_size=2, max_size=2) as pool:

            async def one() -> None:
                while not over.is_set():
                    rows = await pool.fetch("SELECT said, tenant_id FROM items WHERE id < $1", 9)
                    check([tuple(row) for row in rows])
                    counts[2] += 1

            await asyncio.gather(one(), one())

    def looped() -> None:
        try:
            asyncio.run(asynchronous())
        except Exception as problem:
            wrong.append(problem)

    turned.turn("row")
    works: list[Callable[[], None]] = [partial(sync, 0, True), partial(sync, 1, False), looped]
    threads = [threading.Thread(target=one) for one in works]
    for one in threads:
        one.start()
    try:
        for _ in range(effort):
            for turn, mode in FLIPS[: 2 * effort]:
                turn(turned, mode or other)
                before = list(counts)
                assert eventually(partial(gone_on, before), SECONDS), (mode, before, counts, turned.proxy.log)
    finally:
        over.set()
        for one in threads:
            one.join(SECONDS)
    assert wrong == []


def test_nothing_is_kept_open_at_a_place_that_a_tenant_has_left(turned: Turning) -> None:
    kept = "tenant: globex\nquotas: {min_pool_size: 2}\n"
    here = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{turned.places.own}'"
    here += " AND application_name = 'partywall'"  # and not the one that watches

    def turn(mode: str) -> None:
        turned.file.write_text(turned.places.rules(mode).replace("tenant: globex\n", kept), "utf-8")
        turned.proxy.reload_whole()

    turn("database")
    with turned.proxy.connect("globex_app") as client:
        assert client.simple(SAID).rows == [(b"database",)]
        assert eventually(lambda: turned.places.cluster.psql(sql=here).split() == ["2"], SECONDS)
        turn("row")
        assert client.simple(SAID).rows == [(b"row",)]
        assert eventually(lambda: turned.places.cluster.psql(sql=here).split() == ["0"], SECONDS)
