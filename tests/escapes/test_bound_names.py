"""A name that a parameter gives tells nothing of what is hidden: it is answered as one that does not exist."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tests.equivalence.compare import observe
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient

ASKING = (
    "SELECT count(*) FROM pg_class WHERE oid = $1::regclass",
    "SELECT count(*) FROM pg_class WHERE oid <> CAST($1 AS regclass)",
    "SELECT count(*) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum = 1",
)
HIDDEN = ("leaky_stats", "public.leaky_stats", '"leaky_stats"')  # there, and hidden
VISIBLE = ("orders", "public.orders", '"Order Details"', "pg_class")


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        yield proxy


def errors(client: RawClient, text: str, name: str) -> list[str]:
    found = [one for one in observe(client.extended(text, (name.encode(),)), ordered=False) if one[0] == "E"]
    return [repr(one).replace(name.replace('"', ""), "NAME") for one in found]


@pytest.mark.parametrize("text", ASKING)
def test_a_hidden_name_is_as_absent_as_one_that_is_not_there(proxy: Proxy, text: str) -> None:
    with proxy.connect("acme_app") as client:
        absent = errors(client, text, "no_such_thing")
        assert len(absent) == 1
        for name in HIDDEN:
            assert errors(client, text, name) == absent
        for name in VISIBLE:
            assert errors(client, text, name) == []


@pytest.mark.parametrize("text", ASKING)
def test_an_absent_and_a_visible_name_are_answered_as_by_a_private_database(
    shared_server: Cluster, proxy: Proxy, text: str
) -> None:
    with (
        RawClient("127.0.0.1", shared_server.port, "app", "private1") as private,
        proxy.connect("acme_app") as proxied,
    ):
        for name in ("no_such_thing", "nowhere.orders", "orders", "1259"):
            assert errors(proxied, text, name) == errors(private, text, name)


@pytest.mark.parametrize("text", ["$1::regclass", "$1::text::regclass"])
@pytest.mark.parametrize("declared", [25, 1043])
def test_text_in_binary_tells_no_more(proxy: Proxy, text: str, declared: int) -> None:
    def ask(client: RawClient, value: bytes, oid: int) -> list[str]:
        query = f"SELECT 1 FROM pg_class WHERE oid = {text}".encode()
        client.send("P", b"\0" + query + b"\0" + struct.pack("!hi", 1, oid))
        client.send("B", b"\0\0" + struct.pack("!hhhi", 1, 1, 1, len(value)) + value + struct.pack("!h", 0))
        client.send("E", b"\0" + struct.pack("!i", 0))
        client.send("S")
        return [error["C"] for error in client.collect().errors]

    with proxy.connect("acme_app") as client:
        assert ask(client, b"leaky_stats", declared) == ask(client, b"no_such_thing", declared) == ["42P01"]
        assert ask(client, b"orders", declared) == []
        if text == "$1::regclass":
            assert ask(client, (1259).to_bytes(4, "big"), 0) == []


def test_a_parameter_that_is_used_twice_is_text(proxy: Proxy) -> None:
    text = "SELECT $1::text FROM pg_class WHERE oid = $1::regclass"
    with proxy.connect("acme_app") as client:
        assert "42P01" in errors(client, text, "leaky_stats")[0]
        assert errors(client, text, "orders") == []


def test_execute_tells_no_more_than_bind(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        client.simple("PREPARE ask AS SELECT count(*) FROM pg_class WHERE oid = $1::regclass")
        for name in ("leaky_stats", "no_such_thing"):
            (error,) = client.simple(f"EXECUTE ask('{name}')").errors
            assert (error["C"], error["M"]) == ("42P01", f'relation "{name}" does not exist')
        assert client.simple("EXECUTE ask('orders')").rows == [(b"1",)]


def test_execute_with_an_expression_tells_no_more(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        client.simple("PREPARE ask AS SELECT count(*) FROM pg_class WHERE oid = $1::regclass")
        told = [client.simple(f"EXECUTE ask({one})").errors for one in ("lower('LEAKY_STATS')", "lower('NO_SUCH')")]
        assert told[0] == told[1]
        assert told[0][0]["C"] == "0A000"
        assert client.simple("EXECUTE ask(NULL)").rows == [(b"0",)]


@pytest.mark.parametrize(
    "text", ["SELECT current_setting($1)", "SELECT 1 WHERE pg_catalog.current_setting($1::text, true) <> ''"]
)
def test_a_setting_that_a_parameter_names_is_one_of_the_list(proxy: Proxy, text: str) -> None:
    with proxy.connect("acme_app") as client:
        for name in ("data_directory", "no_such_setting"):
            (error,) = client.extended(text, (name.encode(),)).errors
            assert (error["C"], error["M"]) == ("42501", "permission denied for function current_setting")
        assert client.extended(text, (b"TimeZone",)).errors == []
        client.simple(f"PREPARE ask (text) AS {text}")
        for name in ("'data_directory'", "lower('DATA_DIRECTORY')"):
            assert client.simple(f"EXECUTE ask({name})").errors[0]["C"] in {"42501", "0A000"}
        assert client.simple("EXECUTE ask('TimeZone')").errors == []
