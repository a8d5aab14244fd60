"""Quotas over a real server, as drivers meet them: what is refused leaves the session in step, in every form of asking.

The limits are far apart: a rate of one in a thousand seconds gives nothing back while a test runs, so that what is
left is what the burst was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import asyncpg
import psycopg
import pytest

from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, serving
from tests.kit.rawclient import RawClient
from tests.kit.rules import write_sample_rules
from tests.kit.sample import load_sample
from tests.session.test_extended import SYNC, bind, execute, parse

RARE = "statements_per_second: 0.001"
Quotas = Callable[..., None]


@pytest.fixture(scope="module")
def cluster(postgres15: Cluster) -> Cluster:
    return load_sample(postgres15)


@pytest.fixture(scope="module")
def proxy(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("quotas")
    (folder / "rules").mkdir()
    passwords = write_sample_rules(folder / "rules", cluster.port, "shared")
    with serving(folder, "shared", passwords, PLAN_INLINE_BYTES="1000") as proxy:
        yield proxy


@pytest.fixture
def quotas(proxy: Proxy) -> Iterator[Quotas]:
    """Gives acme, and its logins, other quotas; nobody has any afterwards, and nobody owes anything."""
    path: Path = proxy.directory / "rules" / "sample.yaml"
    before = path.read_text(encoding="utf-8")

    def change(tenant: str = "", **logins: str) -> None:
        text = before
        for login, own in logins.items():
            text = text.replace(f"  {login}: {{", f"  {login}: {{quotas: {{{own}}}, ")
        text = text.replace("tenant: acme\n", f"tenant: acme\nquotas: {{{tenant}}}\n", 1)
        path.write_text(text, encoding="utf-8")
        proxy.reload_whole()

    yield change
    path.write_text(before, encoding="utf-8")
    proxy.reload_whole()
    with proxy.connect("acme_app") as client:  # a session that moves to these rules
        assert client.simple("SELECT 1").errors == []
    with proxy.connect("acme_ro") as client:
        assert client.simple("SELECT 1").errors == []


@contextmanager
def connected(proxy: Proxy, login: str = "acme_app") -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with closing(psycopg.connect(proxy.dsn(login), autocommit=True, prepare_threshold=None)) as connection:
        yield connection


def audited(proxy: Proxy) -> list[dict[str, object]]:
    lines = [json.loads(one) for one in proxy.log.splitlines() if one.startswith("{")]
    return [one for one in lines if any(str(rule).startswith("quota.") for rule in one.get("rules", ()))]


def count(client: RawClient) -> bool:
    return client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]


def refusals(proxy: Proxy) -> float:
    """How many of acme's statements its rate has refused."""
    text = r'partywall_quota_refusals_total\{limit="statements_per_second",tenant="acme"\} (\S+)'
    return sum(float(one) for one in re.findall(text, proxy.metrics()))


def test_a_refused_statement_is_an_error_like_another_and_its_numbers_are_the_tenants_own(
    proxy: Proxy, quotas: Quotas
) -> None:
    quotas(f"{RARE}, statement_burst: 2")
    before = refusals(proxy)
    with connected(proxy) as one, connected(proxy, "globex_app") as other:
        for _ in range(2):
            assert one.execute("SELECT count(*) FROM orders").fetchone() == (21,)
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded) as refused:
            one.execute("SELECT count(*) FROM orders")
        said = refused.value.diag
        assert said.message_primary == "quota exceeded: statements per second"
        assert str(said.message_detail).startswith(
            "Limit 0.001 per second with a burst of 2, used 2; it opens again in 9"
        )
        assert "statements_per_second" in str(said.message_hint)
        for _ in range(20):
            assert other.execute("SELECT count(*) > 0 FROM orders").fetchone() == (True,)
    assert audited(proxy)[-1]["rules"] == ["quota.statements_per_second"]
    assert audited(proxy)[-1]["tenant"] == "acme"
    assert refusals(proxy) == before + 1


def test_a_block_that_is_refused_has_failed_and_gives_its_connection_back(proxy: Proxy, quotas: Quotas) -> None:
    quotas(f"{RARE}, statement_burst: 2, server_connections: 1")
    with connected(proxy) as one:
        one.autocommit = False
        one.execute("SELECT 1")  # BEGIN is the other
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
            one.execute("SELECT 2")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            one.execute("SELECT 3")
        one.rollback()
        assert one.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with proxy.connect("acme_ro") as client:  # the one server connection is free, and what is told is the quota
        assert [one["C"] for one in client.simple("SELECT 1").errors] == ["53400"]


def test_a_commit_goes_through_with_what_was_done_before(proxy: Proxy, quotas: Quotas) -> None:
    quotas(f"{RARE}, statement_burst: 2")
    with proxy.connect("acme_app") as client:
        client.simple("BEGIN")
        client.simple("CREATE TEMP TABLE kept AS SELECT 7 AS n")
        assert client.simple("COMMIT").tags == ["COMMIT"]
        assert [one["C"] for one in client.simple("COMMIT").errors] == ["53400"]


@pytest.mark.parametrize("login", ["acme_app", "acme_ro"])
async def test_asyncpg_goes_on_after_a_refusal_in_every_form(proxy: Proxy, quotas: Quotas, login: str) -> None:
    quotas(f"{RARE}, statement_burst: 4")
    connection = await asyncpg.connect(proxy.dsn(login))
    try:
        for _ in range(4):
            assert await connection.fetchval("SELECT count(*) FROM orders WHERE id > $1", 0) == 21
        for ask in (
            connection.fetchval("SELECT count(*) FROM orders WHERE id > $1", 0),
            connection.fetchval("SELECT 1"),
            connection.execute("SELECT 1; SELECT 2"),
            connection.executemany("SELECT $1::int", [(1,), (2,)]),
        ):
            with pytest.raises(asyncpg.ConfigurationLimitExceededError):
                await ask
        quotas("")
        assert await connection.fetchval("SELECT count(*) FROM orders WHERE id > $1", 0) == 21
        async with connection.transaction():
            assert len([row async for row in connection.cursor("SELECT id FROM orders", prefetch=3)]) == 21
    finally:
        await connection.close()


def test_a_pipeline_is_skipped_from_what_was_refused_and_the_next_one_runs(proxy: Proxy, quotas: Quotas) -> None:
    quotas(f"{RARE}, statement_burst: 3")
    batch = parse("SELECT id FROM orders ORDER BY id LIMIT 1") + bind() + execute()
    with proxy.connect("acme_app") as client:
        client.socket.sendall(batch * 5 + SYNC)
        told = client.collect()
        assert (len(told.rows), [one["C"] for one in told.errors], told.status) == (3, ["53400"], "I")
        quotas("")
        client.socket.sendall(batch * 5 + SYNC)
        told = client.collect()
        assert (len(told.rows), told.errors, told.status) == (5, [], "I")
        assert count(client)


def test_psycopgs_pipeline_mode_is_in_step_after_a_refusal(proxy: Proxy, quotas: Quotas) -> None:
    quotas(f"{RARE}, statement_burst: 3")
    with connected(proxy) as one:
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded), one.pipeline():
            for number in range(6):
                one.execute("SELECT %s::int", (number,))
        quotas("")
        with one.pipeline():
            found = [one.execute("SELECT %s::int", (number,)) for number in range(6)]
        assert [cursor.fetchone() for cursor in found] == [(number,) for number in range(6)]


@pytest.mark.parametrize(
    ("texts", "last"),
    [
        (["SELECT 1; SELECT 2; SELECT 3"], "SELECT 4"),
        (["PREPARE p AS SELECT 1", "EXECUTE p", "EXECUTE p"], "EXECUTE p"),
        (["BEGIN", "DECLARE c CURSOR FOR SELECT id FROM orders", "FETCH 1 FROM c"], "FETCH 1 FROM c"),
        (["SHOW work_mem", "SET work_mem TO '8MB'", "RESET ALL"], "DISCARD ALL"),
        (["SELECT FROM nowhere", "nonsense", ""], ""),
    ],
)
def test_no_form_of_asking_goes_uncounted(proxy: Proxy, quotas: Quotas, texts: list[str], last: str) -> None:
    quotas(f"{RARE}, statement_burst: 3")
    with proxy.connect("acme_app") as client:
        for text in texts:
            assert "53400" not in [one["C"] for one in client.simple(text).errors]
        assert [one["C"] for one in client.simple(last).errors] == ["53400"]


def test_a_class_of_statements_is_limited_by_itself(proxy: Proxy, quotas: Quotas) -> None:
    quotas(f"classes: {{write: {{{RARE}}}}}")
    with proxy.connect("acme_app") as client:
        client.simple("PREPARE w AS UPDATE orders SET note = note WHERE id = -1")
        assert client.simple("UPDATE orders SET note = note WHERE id = -1").errors == []
        for text in ("DELETE FROM orders WHERE id = -1", "EXECUTE w", "SELECT id FROM orders WHERE id = 1 FOR UPDATE"):
            assert [one["M"] for one in client.simple(text).errors] == [
                "quota exceeded: write statements per second"
            ], text
        client.socket.sendall(parse("EXECUTE w") + bind() + execute() + SYNC)
        assert [one["C"] for one in client.collect().errors] == ["53400"]
        assert count(client)


def test_a_logins_own_limit_binds_that_login(proxy: Proxy, quotas: Quotas) -> None:
    quotas("statements_per_second: 1000", acme_app=f"{RARE}, statement_burst: 1")
    with proxy.connect("acme_app") as app, proxy.connect("acme_ro") as other:
        assert count(app)
        (error,) = app.simple("SELECT 1").errors
        assert error["D"].startswith("Of this login: limit 0.001 per second")
        assert all(count(other) for _ in range(5))


def test_rows_and_bytes_are_owed_and_a_reload_in_the_middle_keeps_the_debt(proxy: Proxy, quotas: Quotas) -> None:
    quotas("rows_per_minute: 30")
    with proxy.connect("acme_app") as client:
        assert len(client.simple("SELECT id FROM orders").rows) == 21
        assert len(client.simple("SELECT id FROM orders").rows) == 21
        (error,) = client.simple("SELECT 1").errors
        assert error["M"] == "quota exceeded: rows per minute"
        quotas("rows_per_minute: 31")
        (error,) = client.simple("SELECT 1").errors
        assert "Limit 31 rows per minute" in error["D"]
    with proxy.connect("acme_ro") as client:  # another login, another session: the tenant owes it
        assert [one["C"] for one in client.simple("SELECT 1").errors] == ["53400"]
        quotas("bytes_per_minute: 2kB")
        assert len(client.simple("SELECT repeat('x', 5000)").rows) == 1
        (error,) = client.simple("SELECT 1").errors
        assert error["M"] == "quota exceeded: bytes per minute"


def test_server_time_is_owed(proxy: Proxy, quotas: Quotas) -> None:
    quotas("server_time_per_hour: 50ms")
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT pg_sleep(0.2)").errors == []
        (error,) = client.simple("SELECT 1").errors
        assert error["M"] == "quota exceeded: server time per hour"


def test_so_many_statements_at_one_time(cluster: Cluster, proxy: Proxy, quotas: Quotas) -> None:
    quotas("concurrent_statements: 1")
    runs = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(%'"
    runs += " AND pid <> pg_backend_pid()"
    with proxy.connect("acme_app") as busy, proxy.connect("acme_app") as client:
        busy.send("Q", b"SELECT pg_sleep(30)\0")
        assert eventually(lambda: cluster.psql(sql=runs).strip() == "1", 20.0)  # else it may be the one that is refused
        assert eventually(lambda: [one["C"] for one in client.simple("SELECT 1").errors] == ["53400"], 20.0)
        (error,) = client.simple("SELECT 1").errors
        assert error["D"] == "Limit 1, used 1; it opens again when one of them has ended."
        busy.close()  # in the middle of it
        assert eventually(lambda: count(client), 20.0)


def test_statements_wait_for_their_turn_in_order_where_the_rules_say_so(proxy: Proxy, quotas: Quotas) -> None:
    quotas("concurrent_statements: 1, wait: [concurrent_statements]")
    waits = 'partywall_quota_waits_total{limit="concurrent_statements",tenant="acme"} '
    with ExitStack() as stack:
        busy, second, third = (stack.enter_context(proxy.connect("acme_app")) for _ in range(3))
        busy.send("Q", b"SELECT pg_sleep(30)\0")
        second.send("Q", b"SELECT 1\0")
        assert eventually(lambda: f"{waits}1.0" in proxy.metrics(), 20.0)
        third.send("Q", b"SELECT 2\0")
        assert eventually(lambda: f"{waits}2.0" in proxy.metrics(), 20.0)
        third.close()
        busy.close()  # in the middle of it
        assert second.collect().rows == [(b"1",)]
        with connected(proxy) as one:
            assert one.execute("SELECT count(*) FROM orders").fetchone() == (21,)


def test_a_copy_ends_where_the_received_bytes_are_used_up(proxy: Proxy, quotas: Quotas) -> None:
    quotas("received_bytes_per_minute: 100kB")
    with connected(proxy) as one:
        with (
            pytest.raises(psycopg.errors.ConfigurationLimitExceeded) as refused,
            one.cursor() as cursor,
            cursor.copy("COPY orders (id, customer_id, note) FROM STDIN") as copy,
        ):
            for number in range(20_000):
                copy.write(f"{900_000 + number}\t1\tnothing of this is kept\n")
        assert refused.value.diag.message_primary == "quota exceeded: received bytes per minute"
        assert one.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        quotas("")
        assert one.execute("SELECT count(*) FROM orders").fetchone() == (21,)


def test_a_flood_of_new_texts_is_refused_before_they_are_planned_and_known_ones_go_on(
    proxy: Proxy, quotas: Quotas
) -> None:
    with proxy.connect("acme_app") as client, proxy.connect("globex_app") as other:
        assert count(client)
        quotas("planning_time_per_minute: 50ms")
        refused = None
        for number in range(200):
            columns = ", ".join(f"id + {number} AS c{number}_{one}" for one in range(200))
            refused = next(iter(client.simple(f"SELECT {columns} FROM orders WHERE id = 1").errors), None)
            if refused is not None:
                break
        assert refused is not None
        assert refused["M"] == "quota exceeded: planning time per minute"
        assert count(client)
        assert other.simple("SELECT id AS never_seen_before FROM orders").errors == []


def test_what_only_warns_tells_client_and_audit(proxy: Proxy, quotas: Quotas) -> None:
    quotas(f"{RARE}, statement_burst: 1, warn: [statements_per_second]")
    with connected(proxy) as one:
        notices: list[tuple[str | None, ...]] = []
        one.add_notice_handler(lambda said: notices.append((said.severity, said.sqlstate, said.message_primary)))
        for _ in range(5):
            assert one.execute("SELECT count(*) FROM orders").fetchone() == (21,)
        assert notices == [("WARNING", "01000", "quota exceeded: statements per second")]
    assert (audited(proxy)[-1]["event"], audited(proxy)[-1]["verdict"]) == ("quota exceeded", "warn")
    assert 'partywall_quota_warnings_total{limit="statements_per_second",tenant="acme"} 4.0' in proxy.metrics()
