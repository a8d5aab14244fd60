"""What a tenant may fetch at once, nest and store, with the whole proxy: each refusal says what the limit is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest

from tests.kit.books import Books
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, serving
from tests.kit.rawclient import Exchange
from tests.kit.rules import write_sample_rules
from tests.kit.sample import load_sample, pristine

QUOTAS = "defaults: {quotas: {result_rows: 100, statement_nesting: 30, storage: 1MB}}\n"
MANY = "SELECT a.id FROM orders a, orders b, orders c, orders d"
ADD = (
    "INSERT INTO notes (id, body) SELECT g, string_agg(md5((g * 1000 + h)::text), '')"
    " FROM generate_series(1, 90) g, generate_series(1, 500) h GROUP BY g"
)


@pytest.fixture(scope="module")
def proxy(postgres15: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("sizes")
    (folder / "rules").mkdir()
    cluster = load_sample(postgres15)
    with pristine(cluster) as database:
        passwords = write_sample_rules(folder / "rules", cluster.port, database)
        (folder / "rules" / "defaults.yaml").write_text(QUOTAS, encoding="utf-8")
        with serving(folder, database, passwords, STORAGE_INTERVAL="0.2") as proxy:
            yield proxy
            Books(proxy, cluster.dsn(database=database)).settled("sizes")


def told(seen: Exchange) -> list[tuple[str, str]]:
    return [(one["C"], one["M"]) for one in seen.errors]


def eventually(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not ask():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # a poll, bounded by the deadline


TOO_MANY = [("53400", "quota exceeded: result rows")]


def test_a_result_is_cut_off_through_the_wall(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        for ask in (client.simple, client.extended):
            seen = ask(MANY)
            assert told(seen) == TOO_MANY
            assert len(seen.rows) == 100
            assert client.simple("SELECT 1").rows == [(b"1",)]
        assert told(client.simple(f"COPY ({MANY}) TO STDOUT")) == TOO_MANY
        assert told(client.simple("SELECT pg_sleep(0) FROM generate_series(1, 5000000)")) == TOO_MANY
        client.simple("BEGIN")
        assert client.simple(f"DECLARE c CURSOR FOR {MANY}").errors == []
        assert len(client.simple("FETCH 100 FROM c").rows) == 100  # the way out
        assert told(client.simple("FETCH 101 FROM c")) == TOO_MANY
        assert client.simple("ROLLBACK").status == "I"


def test_what_may_do_more_than_read_is_not_cut_off(proxy: Proxy) -> None:
    add = "INSERT INTO notes (id, body) SELECT g, 'x' FROM generate_series(1000, 1199) g RETURNING id"
    with proxy.connect("globex_app") as client:
        assert len(client.simple(add).rows) == 200
        assert len(client.simple("DELETE FROM notes WHERE id >= 1000 RETURNING id").rows) == 200
        assert len(client.simple("SELECT slugify('n') FROM generate_series(1, 200) g").rows) == 200


def test_statements_nest_as_deep_as_the_tenant_may(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT 1" + " + 1" * 25).errors == []
        (refused,) = client.simple("SELECT 1" + " + 1" * 60).errors
        assert (refused["C"], refused["M"]) == ("54001", "stack depth limit exceeded")
        assert refused["D"] == "The limit is 30 nested operators, as statement_nesting has it."


def test_a_tenant_that_has_stored_enough_may_read_and_delete_and_then_add_again(proxy: Proxy) -> None:
    def full(client_text: str) -> bool:
        return told(client.simple(client_text)) == [("53400", "quota exceeded: storage")]

    with proxy.connect("initech_app") as client, proxy.connect("acme_app") as other:
        assert client.simple("DELETE FROM notes").errors == []
        assert client.simple(ADD).errors == []
        eventually(lambda: full("UPDATE notes SET body = body WHERE id = 1"))
        assert full("INSERT INTO notes (id, body) VALUES (999, 'x')")
        assert told(client.simple("COPY notes (id, body) FROM STDIN"))[0][0] == "53400"
        (refused,) = client.simple("UPDATE notes SET body = body").errors
        assert re.fullmatch(r"The limit is 1048576 bytes, used \d+ when they were counted last\.", refused["D"])
        assert len(client.simple("SELECT id FROM notes").rows) == 90
        assert other.simple("UPDATE notes SET body = body WHERE id = 1").errors == []  # nobody else's matter
        used = dict(re.findall(r'partywall_storage_bytes{tenant="(\w+)"} (\S+)', proxy.metrics()))
        assert float(used["initech"]) > 1_048_576 > float(used["acme"]) > 0
        assert client.simple("DELETE FROM notes").tags == ["DELETE 90"]
        eventually(lambda: client.simple("INSERT INTO notes (id, body) VALUES (999, 'x')").errors == [])
        assert client.simple("DELETE FROM notes").tags == ["DELETE 1"]
