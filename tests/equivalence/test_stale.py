"""Prepared statements over DDL: what went stale on a pooled connection is prepared anew, as if every session had a
connection that is as young as its own Parse.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import Exchange, RawClient, message
from tests.kit.sample import pristine

TEXT = "SELECT * FROM notes WHERE id < 3 ORDER BY id"


@pytest.fixture
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with pristine(shared_server) as database, running_proxy(shared_server.port, database) as proxy:
        yield proxy


def parse(client: RawClient, name: str) -> Exchange:
    client.send("P", name.encode() + b"\0" + TEXT.encode() + b"\0\0\0")
    client.send("S")
    return client.collect()


def run(client: RawClient, name: str) -> Exchange:
    """In one write, as drivers do: an error that comes before the rest of a batch has arrived is the client's."""
    bound = message("B", b"\0" + name.encode() + b"\0\0\0\0\0\0\0")
    client.socket.sendall(bound + message("D", b"P\0") + message("E", b"\0\0\0\0\0") + message("S", b""))
    return client.collect()


def columns(exchange: Exchange) -> int:
    (described,) = [one.body for one in exchange.messages if one.tag == "T"]
    return int.from_bytes(described[:2], "big")


def test_a_statement_survives_ddl_outside_a_transaction(shared_server: Cluster, proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client, proxy.connect("acme_app") as other:
        for one in (client, other):
            parse(one, "s")
            one.simple(f"PREPARE q AS {TEXT}")
        before = columns(run(client, "s"))
        assert columns(client.simple("EXECUTE q")) == before
        shared_server.psql(proxy.database, "ALTER TABLE notes ADD COLUMN more int DEFAULT 7")
        for one, text in ((client, ""), (client, "EXECUTE q"), (other, "")):
            told = one.simple(text) if text else run(one, "s")
            assert told.errors == []
            assert columns(told) in (before, before + 1)  # the catalog may be looked at later
            assert told.status == "I"
        with proxy.connect("acme_app") as young:
            assert parse(young, "mine").errors == []
            assert columns(run(young, "mine")) in (before, before + 1)


def test_who_does_not_ask_again_what_the_rows_are_is_not_sent_others(shared_server: Cluster, proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        parse(client, "s")
        before = columns(run(client, "s"))
        shared_server.psql(proxy.database, "ALTER TABLE notes ADD COLUMN more int DEFAULT 7")
        client.send("B", b"\0s\0\0\0\0\0\0\0")
        client.send("E", b"\0\0\0\0\0")
        client.send("S")
        told = client.collect()
        if told.errors:
            assert [(one["C"], one["M"]) for one in told.errors] == [
                ("0A000", "cached plan must not change result type")
            ]
        else:  # the catalog has not been looked at yet, and the text names the columns
            assert {len(row) for row in told.rows} == {before}
        assert run(client, "s").errors == []


def test_in_a_transaction_the_server_has_the_last_word(shared_server: Cluster, proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        parse(client, "s")
        run(client, "s")
        shared_server.psql(proxy.database, "ALTER TABLE notes ADD COLUMN more int DEFAULT 7")
        client.simple("BEGIN")
        told = run(client, "s")
        assert [one["C"] for one in told.errors] in ([], ["0A000"])
        assert told.status == ("E" if told.errors else "T")
        client.simple("ROLLBACK")
        assert run(client, "s").errors == []


def test_a_name_that_vanished_at_the_server_is_made_again(shared_server: Cluster, proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        parse(client, "s")
        assert run(client, "s").errors == []
        # Nobody can take names away but a function with rights of its own: here it stands for a pooler in between.
        shared_server.psql(
            proxy.database,
            "CREATE OR REPLACE FUNCTION slugify(t text) RETURNS text LANGUAGE plpgsql AS"
            " $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN t; END $$",
        )
        assert client.simple("SELECT slugify('x')").errors == []
        assert run(client, "s").errors == []
        assert run(client, "s").errors == []
