"""The comment at the end of a statement reaches the server under `comments: keep`, and nothing else does."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import Exchange, RawClient
from tests.kit.rules import sample_rules

READ = "SELECT note FROM orders WHERE id = 1"
EVIL = (
    "/* é */", "/* a\nb */", "/* a\\ */", "/* /* nested */ */", "/*" + "a" * 1024 + "*/", "-- a",
    "/* */ /* b */", "/*+ Set(search_path evil) */",
)  # fmt: skip


@pytest.fixture(scope="module")
def keeping(shared_server: Cluster) -> Iterator[Proxy]:
    rules = sample_rules(shared_server.port, "shared").replace(
        "isolation: row\n", "isolation: row\ncomments: keep\n", 1
    )
    with running_proxy(shared_server.port, rules=rules) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def dropping(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        yield proxy


def ask(client: RawClient, text: str, protocol: str) -> Exchange:
    return client.simple(text) if protocol == "simple" else client.extended(text)


def at_server(cluster: Cluster) -> list[str]:
    """What the tenants' connections ran last, as their DBA sees it."""
    with RawClient("127.0.0.1", cluster.port, "postgres", "postgres") as server:
        text = "SELECT query FROM pg_stat_activity WHERE datname = 'shared' AND query LIKE '%note%'"
        return [row[0].decode() for row in server.simple(text).rows if row[0] is not None]


def lookups(proxy: Proxy) -> dict[str, int]:
    found = re.findall(r'partywall_plan_cache_lookups_total\{result="(\w+)",tenant="acme"\} ([0-9.]+)', proxy.metrics())
    return {result: int(float(count)) for result, count in found}


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_the_dba_sees_it_where_it_is_kept_and_only_there(
    shared_server: Cluster, keeping: Proxy, dropping: Proxy, protocol: str
) -> None:
    mark = f"/* of {protocol} */"
    with keeping.connect("acme_app") as client, dropping.connect("acme_app") as other:
        first, second = ask(client, f"{READ} {mark};", protocol), ask(other, f"{READ} {mark};", protocol)
        assert first.errors == []
        assert first.rows == second.rows
        seen = at_server(shared_server)
        assert [one.endswith(" " + mark) for one in seen if mark in one] == [True]
        ask(client, READ, protocol)
        assert [one for one in at_server(shared_server) if mark in one] == []


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_two_texts_that_differ_in_their_comments_only_share_a_plan(
    shared_server: Cluster, keeping: Proxy, protocol: str
) -> None:
    read = f"SELECT note, id AS {protocol} FROM orders WHERE note <> E'\\\\' OR id = 1"
    plain = f"SELECT note, id AS {protocol} FROM orders WHERE id = 1"
    with keeping.connect("acme_app") as client, keeping.connect("acme_app") as other:
        ask(client, f"{plain} /* trace 1 */", protocol)
        before = lookups(keeping)
        ask(other, f"{plain} /* trace 2 */", protocol)
        assert {**lookups(keeping), "l2": 0} == {**before, "l2": 0}
        assert lookups(keeping)["l2"] == before["l2"] + 1
        assert "trace 2" in " ".join(at_server(shared_server))
        ask(other, plain, protocol)
        assert "trace" not in " ".join(at_server(shared_server))
        uncertain = lookups(keeping)
        ask(client, f"{read} /* trace 3 */", protocol)
        assert lookups(keeping)["miss"] == uncertain["miss"] + 1
        assert "trace 3" not in " ".join(at_server(shared_server))


def test_a_prepared_statement_says_the_comment_of_the_session_that_made_it(
    shared_server: Cluster, keeping: Proxy
) -> None:
    with keeping.connect("acme_app") as one, keeping.connect("acme_app") as two:
        for client, mark in ((one, "one"), (two, "two"), (one, "one")):
            client.simple(f"PREPARE {mark} AS SELECT note FROM orders WHERE id = 1 /* made by {mark} */")
            client.send("P", f"s\0{READ} /* made by {mark} */\0".encode() + b"\0\0")
            client.send("B", b"\0s\0\0\0\0\0\0\0")
            client.send("E", b"\0\0\0\0\0")
            client.send("C", b"Ss\0")
            client.send("S")
            assert client.collect().errors == []
            assert [row for row in at_server(shared_server) if row.endswith(f"/* made by {mark} */")] != []
            assert client.simple(f"EXECUTE {mark}").errors == []
            client.simple(f"DEALLOCATE {mark}")


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("comment", EVIL)
def test_what_is_not_clean_is_dropped(shared_server: Cluster, keeping: Proxy, protocol: str, comment: str) -> None:
    with keeping.connect("acme_app") as client:
        plain, seen = ask(client, READ, protocol), ask(client, f"{READ} {comment}", protocol)
        assert (seen.errors, seen.rows) == (plain.errors, plain.rows)
        assert [one for one in at_server(shared_server) if "/*" in one or "--" in one] == []


def test_a_statement_behind_a_comment_is_a_statement_as_ever(keeping: Proxy, dropping: Proxy) -> None:
    text = f"{READ} /* */ ; DELETE FROM payroll -- */"
    with keeping.connect("acme_app") as client, dropping.connect("acme_app") as other:
        seen, expected = client.simple(text), other.simple(text)
        assert [one["C"] for one in seen.errors] == [one["C"] for one in expected.errors] == ["42P01"]
        assert seen.errors == expected.errors
