"""Floods of what is legal, on real sockets and a real server: each is refused or waits, and the session goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.books import Books
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, serving
from tests.kit.rawclient import RawClient, message
from tests.kit.rules import write_sample_rules
from tests.kit.sample import load_sample, pristine

QUOTAS = 'defaults: {quotas: {session_memory: 1MB, statement_size: "%s"}}\n'
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def cluster(postgres15: Cluster) -> Cluster:
    return load_sample(postgres15)


def serve(folder: Path, cluster: Cluster, statement_size: str) -> Iterator[Proxy]:
    (folder / "rules").mkdir()
    with pristine(cluster) as database:  # nobody else's connections are counted
        passwords = write_sample_rules(folder / "rules", cluster.port, database)
        (folder / "rules" / "defaults.yaml").write_text(QUOTAS % statement_size, encoding="utf-8")
        with serving(folder, database, passwords, PLAN_TIMEOUT="120") as proxy:  # on a machine that has other work
            yield proxy
            Books(proxy, cluster.dsn(database=database)).settled("floods")


@pytest.fixture(scope="module")
def proxy(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    yield from serve(tmp_path_factory.mktemp("floods"), cluster, "1MB")


@pytest.fixture(scope="module")
def roomy(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    yield from serve(tmp_path_factory.mktemp("roomy"), cluster, "20MB")


def answers(client: RawClient, text: str = "SELECT count(*) FROM orders") -> bool:
    return client.simple(text).rows == [(b"21",)]


def test_prepared_statements_without_an_end_are_refused_by_name_and_the_session_goes_on(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        for number in range(200):
            client.send("P", b"s%d\0SELECT id FROM orders WHERE id = %d\0\0\0" % (number, number))
        client.send("S")
        told = client.collect()
        assert [(one["C"], "session_memory" in one["H"]) for one in told.errors] == [("53400", True)]
        refused = next(
            error for number in range(1000) for error in client.simple(f"PREPARE p{number} AS SELECT 1").errors
        )
        assert refused["C"] == "53400"
        assert client.simple("DEALLOCATE ALL").errors == []
        assert client.simple("PREPARE again AS SELECT 1").errors == []
        assert answers(client)


def test_portals_without_an_end_are_refused_and_their_transaction_fails(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        client.simple("BEGIN")
        client.send("P", b"\0SELECT id FROM orders\0\0\0")
        for number in range(2000):
            client.send("B", b"p%d\0\0\0\0\0\0\0\0" % number)
        client.send("S")
        told = client.collect()
        assert [one["C"] for one in told.errors] == ["53400"]
        assert told.status == "E"
        client.simple("ROLLBACK")
        assert answers(client)


def test_a_pipeline_of_a_hundred_thousand_messages_behind_a_slow_statement_is_answered_whole(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        sent = message("Q", b"SELECT pg_sleep(0.2)\0") + 50_000 * (message("C", b"Snone\0") + message("S"))
        client.socket.sendall(sent)
        assert client.collect().tags == ["SELECT 1"]
        assert sum(len(client.collect().messages) for _ in range(50_000)) == 100_000
        assert answers(client)


@pytest.mark.parametrize("tag", ["Q", "P"])
def test_ten_megabytes_are_refused_at_the_default_limit_and_the_next_statement_runs(proxy: Proxy, tag: str) -> None:
    text = b"SELECT '" + b"x" * (10 * MEGABYTE) + b"'"
    with proxy.connect("acme_app") as client:
        client.socket.sendall(
            message("Q", text + b"\0") if tag == "Q" else message("P", b"\0" + text + b"\0\0\0") + message("S")
        )
        told = client.collect()
        (error,) = told.errors
        assert (error["C"], told.status) == ("54000", "I")
        assert "statement_size" in error["H"]
        assert answers(client)


def test_ten_megabytes_are_planned_beside_the_loop_where_they_are_allowed(roomy: Proxy) -> None:
    text = "SELECT length('" + "x" * (10 * MEGABYTE) + "') FROM orders LIMIT 1"
    with roomy.connect("acme_app") as client, roomy.connect("globex_app") as other:
        client.send("Q", text.encode() + b"\0")
        assert other.simple("SELECT count(*) > 0 FROM orders").rows == [(b"t",)]
        assert client.collect().rows == [(b"%d" % (10 * MEGABYTE),)]


@pytest.mark.parametrize("nested", ["(", "-(", "(SELECT ", "ARRAY[", "NOT ("])
def test_twenty_thousand_parentheses_are_too_complex_and_nothing_worse(proxy: Proxy, nested: str) -> None:
    depth = 20_000
    text = "SELECT " + nested * depth + "1" + (")" if "(" in nested else "]") * depth
    with proxy.connect("acme_app") as client:
        for told in (client.simple(text), client.extended(text)):
            (error,) = told.errors  # PostgreSQL's own, where its parser's stack is full before ours is
            assert error["C"] in {"54001", "42601"}
            assert error["C"] == "54001" or error["M"].startswith("memory exhausted")
        assert answers(client)
    assert proxy.process.poll() is None


def test_a_message_whose_length_cannot_be_ends_its_session_and_no_other(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as other:
        for header in (b"Q\0\0\0\0", b"S\0\1\0\0", b"d\x7f\xff\xff\xff", b"\0\0\0\0\x04", b"Q\xff\xff\xff\xff"):
            with proxy.connect("acme_app") as client:
                client.socket.sendall(header)
                if header[0:1] != b"Q" or header[1] != 255:
                    told = client.collect()
                    assert [(one["S"], one["C"]) for one in told.errors] == [("FATAL", "08P01")]
                    assert told.closed
        assert answers(other)
