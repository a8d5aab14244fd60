"""What one mode allows, carried into another when the tenant's rules change under the session: a setting, a name, a
statement that is half way, a connection. Nothing of it may show or touch what is another tenant's, nor make the server
read a statement otherwise than the proxy did.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from tests.kit.changing import WIDE, Turning, changing, turning
from tests.kit.postgres import Cluster
from tests.kit.rawclient import RawClient, message

SECONDS = 20.0
SHARED = ("row", "rls", "row+rls")
MINE = "SELECT count(*), min(tenant_id), max(tenant_id) FROM items"


@pytest.fixture(scope="module")
def turned(postgres18: Cluster) -> Iterator[Turning]:
    with changing(postgres18) as places, turning(places, "database") as turned:
        yield turned


def turned_to(turned: Turning, mode: str, client: RawClient, text: str = MINE) -> tuple[list[str], list[object]]:
    """SQLSTATEs and rows of what the client asks next, in the mode."""
    turned.turn(mode)
    found = client.simple(text)
    return [one["C"] for one in found.errors], list(found.rows)


CARRIED = {
    "a path to other schemas": "SET search_path = globex, pg_temp, public",
    "a path before the server's own names": "SET search_path = public, pg_catalog",
    "policies switched off": "SET row_security = off",
    "comparisons with NULL that are true": "SET transform_null_equals = on",
    "plans of any kind": "SET plan_cache_mode = force_generic_plan",
    "whatever is written in a log": "SET client_min_messages = debug5",
    "another role": f"SET ROLE {'changing_own'}",
    "a name that extensions read": "SET plpgsql.variable_conflict = 'use_column'",
    "a value beyond all measure": f"SET app.mine = '{'x' * 4000}'",
    "more than anybody sets": "; ".join(f"SET app.n{number} = 'x'" for number in range(101)),
}


def test_a_setting_of_a_database_of_its_own_never_reaches_a_shared_one(turned: Turning) -> None:
    turned.turn("database")
    with ExitStack() as stack:
        clients = {what: stack.enter_context(turned.proxy.connect("globex_app")) for what in CARRIED}
        for what, client in clients.items():
            assert client.simple(CARRIED[what]).errors == [], what
        turned.turn("row")
        for what, client in clients.items():
            found = client.simple(MINE)
            assert ([one["C"] for one in found.errors], found.rows) == (["57P01"], []), what


def test_a_path_is_the_shared_one_again_where_it_says_the_same(turned: Turning) -> None:
    turned.turn("database")
    with turned.proxy.connect("globex_app") as client:
        assert client.simple('SET search_path = "$user", public').errors == []
        assert turned_to(turned, "row", client) == ([], [(b"3", b"2", b"2")])
        assert client.simple("SHOW search_path").rows == [(b"public",)]
        assert client.simple("SET search_path = ''").errors == []
        assert turned_to(turned, "schema", client, "SELECT count(*) FROM globex.items") == ([], [(b"3",)])
        assert [one["C"] for one in client.simple(MINE).errors] == ["42P01"]
        assert client.simple("SET search_path = globex").errors == []
        assert turned_to(turned, "row", client) == (["57P01"], [])


def test_what_stood_in_a_startup_packet_is_judged_anew(turned: Turning) -> None:
    turned.turn("database")
    with ExitStack() as stack:
        asked = ("-c row_security=off", "-c search_path=pg_temp,public", "-c work_mem=5MB")
        off, path, plain = (stack.enter_context(turned.proxy.connect("globex_app", options=one)) for one in asked)
        turned.turn("rls")
        for client in (off, path):
            assert [one["C"] for one in client.simple(MINE).errors] == ["57P01"]
        assert plain.simple(MINE).rows == [(b"3", b"2", b"2")]


def test_a_login_that_only_reads_takes_no_writing_transactions_along(turned: Turning) -> None:
    turned.turn("row")
    with ExitStack() as stack:
        writing, reading = (stack.enter_context(turned.proxy.connect("globex_ro")) for _ in range(2))
        assert writing.simple("SET default_transaction_read_only = off").errors == []
        turned.turn("schema")
        assert [one["C"] for one in writing.simple("SELECT 1").errors] == ["57P01"]
        assert reading.simple("SHOW default_transaction_read_only").rows == [(b"on",)]


def test_nobody_takes_anothers_name_at_the_server_along(turned: Turning) -> None:
    """In a database of its own an application may call itself what it likes; beside others its label stands before."""
    turned.turn("database")
    with turned.proxy.connect("globex_app") as client:
        assert client.simple("SET application_name = 'acme/acme_app/till'").errors == []
        turned.turn("row")
        assert client.simple("BEGIN; SELECT 1").errors == []
        query = (
            f"SELECT application_name FROM pg_stat_activity WHERE datname = '{turned.places.rows}' AND usename = 'app'"
        )
        with psycopg.connect(turned.places.cluster.dsn(), autocommit=True) as connection:
            names = [name for (name,) in connection.execute(query) if "till" in name]
        assert names == ["globex/globex_app/acme/acme_app/till"]
        assert client.simple("COMMIT").errors == []
        assert turned_to(turned, "database", client, "SHOW application_name") == ([], [(b"acme/acme_app/till",)])


@pytest.mark.parametrize("mode", SHARED)
def test_statements_of_a_database_of_its_own_see_and_write_only_what_is_mine(turned: Turning, mode: str) -> None:
    kept = turned.places.kept()
    turned.turn("database")
    with turned.proxy.connect("globex_app") as client:
        named = {
            "every": WIDE,
            "theirs": "SELECT count(*) FROM items WHERE tenant_id = 1",
            "wiped": "WITH gone AS (DELETE FROM items WHERE id > 3 RETURNING 1) SELECT count(*) FROM gone",
            "taken": "WITH t AS (UPDATE items SET said = 'x' WHERE tenant_id = 1 RETURNING 1) SELECT count(*) FROM t",
        }
        for name, text in named.items():
            assert client.simple(f"PREPARE {name} AS {text}").errors == []
            client.send("P", f"p{name}\0{text}\0".encode() + b"\0\0")
        client.send("S")
        assert client.collect().errors == []
        turned.turn(mode)
        assert {key for key, _ in client.simple("EXECUTE every").rows} == {b"2"}
        for name in ("theirs", "wiped", "taken"):
            assert client.simple(f"EXECUTE {name}").rows == [(b"0",)], name
        for name in ("pevery", "ptheirs", "pwiped", "ptaken"):
            client.send("B", b"\0" + name.encode() + b"\0" + b"\0" * 6)
            client.send("E", b"\0\0\0\0\0")
            client.send("S")
            rows = client.collect().rows
            assert {row[0] for row in rows} == ({b"2"} if name == "pevery" else {b"0"}), name
    assert turned.places.kept() == kept


def test_rows_of_a_copy_that_was_bound_behind_policies_are_not_put_in_by_the_others_plan(turned: Turning) -> None:
    """Behind policies a COPY is INSERTs, which the server judges. Here it is begun there, and goes on elsewhere."""
    kept = turned.places.kept()
    copy = "COPY items (tenant_id, id, said) FROM STDIN"
    for mode in ("row", "schema", "database", "row+rls"):
        turned.turn("rls")
        with turned.proxy.connect("globex_app") as client:
            client.send("P", f"\0{copy}\0".encode() + b"\0\0")
            client.send("B", b"p\0\0" + b"\0" * 6)
            client.send("H")
            assert [client.receive(), client.receive()] != [None, None]
            turned.turn(mode)
            client.socket.sendall(message("P", b"other\0SELECT 1\0\0\0") + message("E", b"p\0\0\0\0\0") + message("H"))
            began = client.collect("GE")
            assert began.errors == [], mode
            done = client.copy_data(b"1\t77\tacme\n", sync=True)
            if mode in ("row", "row+rls"):
                assert [one["C"] for one in done.errors] == ["42501"], mode
            else:
                assert done.tags == ["COPY 1"]
                assert client.simple("DELETE FROM items WHERE id = 77").tags == ["DELETE 1"]
    assert turned.places.kept() == kept


def test_a_table_of_the_sessions_own_hides_none_of_the_new_modes(turned: Turning) -> None:
    """A block of code may have made it, of which the proxy knows nothing."""
    turned.turn("database")
    with ExitStack() as stack:
        known, unknown = (stack.enter_context(turned.proxy.connect("globex_app")) for _ in range(2))
        table = "CREATE TEMP TABLE items (tenant_id int, id int, said text)"
        assert known.simple(table).errors == []
        assert unknown.simple(f"DO $$BEGIN {table}; END$$").errors == []
        turned.turn("row")
        for client in (known, unknown):
            assert [one["C"] for one in client.simple(MINE).errors] == ["57P01"]
        with turned.proxy.connect("globex_app") as fresh:
            assert fresh.simple(MINE).rows == [(b"3", b"2", b"2")]


def test_no_draw_that_a_session_has_seeded_and_no_connection_of_its_own_goes_along(turned: Turning) -> None:
    turned.turn("schema")
    with turned.proxy.connect("globex_app") as seeded:
        assert seeded.simple("SELECT setseed(0.5)").errors == []
        assert turned_to(turned, "row", seeded) == (["57P01"], [])
    turned.turn("schema")
    text = turned.file.read_text("utf-8")
    turned.file.write_text(text.replace("tenant: globex\n", "tenant: globex\npool_mode: session\n"), "utf-8")
    turned.proxy.reload_whole()
    with turned.proxy.connect("globex_app") as whole:
        assert whole.simple("SELECT count(*) FROM items").rows == [(b"3",)]
        assert turned_to(turned, "row", whole) == (["57P01"], [])


def test_a_prepared_statement_that_the_new_mode_refuses_ends_its_session(turned: Turning) -> None:
    turned.turn("database")
    with turned.proxy.connect("globex_app") as client, turned.proxy.connect("globex_app") as other:
        size = "SELECT pg_database_size(current_database()) > 0"
        assert client.simple(f"PREPARE size AS {size}").errors == []
        assert client.simple("EXECUTE size").rows == [(b"t",)]
        assert other.simple("PREPARE size AS SELECT count(*) FROM items").errors == []
        assert turned_to(turned, "row", client) == (["57P01"], [])
        assert other.simple("EXECUTE size").rows == [(b"3",)]
