"""TRUNCATE empties what is the tenant's, in one statement, or says what PostgreSQL says."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from proxy.errors import Refusal
from proxy.sql.truncate import emptied
from proxy.sql.world import World
from proxy.tenancy.policy import RelationRule
from tests.kit.checksums import foreign_checksums
from tests.kit.postgres import Cluster
from tests.kit.proxy import running_proxy
from tests.kit.rawclient import RawClient
from tests.sql.worlds import one_statement, sample_policy


def refused(world: World, sql: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        emptied(one_statement(world, sql).tree["TruncateStmt"], world)
    return caught.value


def test_one_table_is_a_delete(world: World) -> None:
    tree = emptied(one_statement(world, "TRUNCATE ONLY notes").tree["TruncateStmt"], world)
    assert tree["DeleteStmt"]["relation"]["relname"] == "notes"
    assert "inh" not in tree["DeleteStmt"]["relation"]


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("TRUNCATE notes CASCADE", "0A000"),
        ("TRUNCATE notes RESTART IDENTITY", "0A000"),
        ("TRUNCATE orders", "0A000"),
        ("TRUNCATE open_orders", "42809"),
        ("TRUNCATE ONLY events", "42809"),
        ("TRUNCATE mv_order_stats", "42809"),
    ],
)
def test_what_cannot_be_emptied_is_refused(world: World, sql: str, sqlstate: str) -> None:
    assert refused(world, sql).sqlstate == sqlstate


def test_a_table_may_reference_itself(world: World) -> None:
    emptied(one_statement(world, "TRUNCATE categories").tree["TruncateStmt"], world)  # shared: refused by the rewriter
    assert "orders" in str(refused(world, "TRUNCATE customers").detail)


def test_a_hidden_table_has_no_name_in_the_answer(world: World) -> None:
    hidden = World(sample_policy(RelationRule("public", "order_items", "hidden")), world.catalog)
    refusal = refused(hidden, "TRUNCATE orders")
    assert (refusal.message, refusal.detail, refusal.hint) == (
        "cannot truncate a table referenced in a foreign key constraint", None, None
    )  # fmt: skip


def test_a_reader_hears_the_verb_that_it_sent(world: World) -> None:
    reader = World(replace(sample_policy(), read_only=True), world.catalog)
    refusal = refused(reader, "TRUNCATE notes")
    assert (refusal.sqlstate, refusal.message) == ("25006", "cannot execute TRUNCATE TABLE in a read-only transaction")


def test_own_rows_are_gone_and_nobody_elses(shared_server: Cluster, pristine_shared: str) -> None:
    before = foreign_checksums(shared_server, pristine_shared, 1)
    with running_proxy(shared_server.port, pristine_shared) as proxy, proxy.connect("acme_app") as client:
        for ask in (client.simple, partial(client.extended)):
            assert ask("INSERT INTO notes (id, body) VALUES (900, 'x')").errors == []
            exchange = ask("TRUNCATE notes, bookings")
            assert [one.body for one in exchange.messages if one.tag == "C"] == [b"TRUNCATE TABLE\0"]
            assert client.simple("SELECT count(*) FROM notes").rows == [(b"0",)]
    assert foreign_checksums(shared_server, pristine_shared, 1) == before
    with RawClient("127.0.0.1", shared_server.port, "app", pristine_shared) as direct:
        assert direct.simple("SELECT count(*) FROM notes WHERE tenant = 'acme'").rows == [(b"0",)]
        assert direct.simple("SELECT count(*) > 0 FROM notes").rows == [(b"t",)]
