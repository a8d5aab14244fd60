"""What belongs to a session: prepared statements, cursors and temporary tables answer as on a private database, also
when other sessions run in between on the same server connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.equivalence.compare import Seen, observe
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient

PREPARED = {
    "typed": (
        "PREPARE p (int, text) AS SELECT id, note FROM orders WHERE id > $1 AND status::text = $2 ORDER BY id",
        "EXECUTE p (3, 'paid')",
        "EXECUTE p (10, 'new')",
        "DEALLOCATE p",
        "EXECUTE p (3, 'paid')",
        "DEALLOCATE p",
    ),
    "inferred": (
        "PREPARE p AS SELECT id + $1, $2 || 'x' FROM orders WHERE id = $3",
        "EXECUTE p (1, 'a', 5)",
        "EXECUTE p (1 + 1, upper('a'), '6')",
        "EXECUTE p (NULL, NULL, 7)",
        "EXECUTE p (1)",
        "EXECUTE p ('x', 'y', 1)",
    ),
    "names": (
        "PREPARE p AS SELECT 1",
        "PREPARE p AS SELECT 2",
        'PREPARE "P q" AS SELECT 3',
        'EXECUTE "P q"',
        "EXECUTE P",
        "DEALLOCATE PREPARE p",
        "PREPARE p AS SELECT 4 AS four",
        "EXECUTE p",
        "DEALLOCATE ALL",
        "EXECUTE p",
        'EXECUTE "P q"',
        "PREPARE p AS SELECT 4 AS four",
        "EXECUTE p",
    ),
    "errors": (
        "PREPARE p AS SELECT nothing FROM orders",
        "EXECUTE p",
        "PREPARE p AS SELECT $1",
        "PREPARE p (int) AS SELECT 10 / $1",
        "EXECUTE p (0)",
        "EXECUTE p (id)",
        "EXECUTE p ((SELECT 1))",
        "EXECUTE p (5)",
    ),
    "writes": (
        "BEGIN",
        "PREPARE p (int, text) AS INSERT INTO notes (id, body) VALUES ($1, $2) RETURNING tenant, id, body",
        "EXECUTE p (9001, 'one')",
        "EXECUTE p (9002, 'two')",
        "PREPARE q AS UPDATE notes SET body = 'all' WHERE id > 9000",
        "EXECUTE q",
        "PREPARE d AS DELETE FROM notes WHERE id > 9000",
        "EXECUTE d",
        "ROLLBACK",
        "EXECUTE q",
        "DEALLOCATE ALL",
    ),
    "not undone": (
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "ROLLBACK",
        "EXECUTE p",
        "BEGIN",
        "DEALLOCATE p",
        "ROLLBACK",
        "EXECUTE p",
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "SELECT 1 / 0",
        "PREPARE q AS SELECT 1",
        "EXECUTE p",
        "COMMIT",
        "EXECUTE p",
        "EXECUTE q",
        "DISCARD ALL",
        "EXECUTE p",
    ),
}

CURSORS = {
    "current of": (
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT id, name FROM customers WHERE id > 5 ORDER BY id FOR UPDATE",
        "FETCH 3 FROM c",
        "UPDATE customers SET name = 'here' WHERE CURRENT OF c RETURNING id, name",
        "FETCH c",
        "DELETE FROM customers WHERE CURRENT OF c RETURNING id",
        "DELETE FROM customers WHERE CURRENT OF nothing",
        "ROLLBACK",
    ),
    "in a transaction": (
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT id, amount FROM orders ORDER BY id",
        "FETCH 3 FROM c",
        "FETCH FORWARD 2 FROM c",
        "MOVE 2 IN c",
        "FETCH c",
        "FETCH BACKWARD 1 FROM c",
        "CLOSE c",
        "FETCH c",
        "ROLLBACK",
        "FETCH c",
        "MOVE c",
        "CLOSE c",
        "DECLARE c CURSOR FOR SELECT 1",
    ),
    "scroll": (
        "BEGIN",
        'DECLARE "C 2" SCROLL CURSOR WITHOUT HOLD FOR SELECT id FROM orders ORDER BY id',
        'FETCH LAST FROM "C 2"',
        'FETCH PRIOR FROM "C 2"',
        'FETCH ABSOLUTE 2 FROM "C 2"',
        'FETCH RELATIVE 2 FROM "C 2"',
        'FETCH BACKWARD ALL FROM "C 2"',
        'FETCH FIRST FROM "C 2"',
        "DECLARE i INSENSITIVE NO SCROLL CURSOR FOR SELECT id FROM orders ORDER BY id",
        "FETCH ALL FROM i",
        "FETCH BACKWARD 1 FROM i",
        "COMMIT",
    ),
    "with hold": (
        "DECLARE h CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id",
        "FETCH 2 FROM h",
        "BEGIN",
        "DECLARE h CURSOR WITH HOLD FOR SELECT 1",
        "ROLLBACK",
        "FETCH 2 FROM h",
        "BEGIN",
        "DECLARE k SCROLL CURSOR WITH HOLD FOR SELECT count(*) FROM order_items",
        "CLOSE h",
        "COMMIT",
        "FETCH ALL FROM k",
        "FETCH h",
        "DECLARE l CURSOR WITH HOLD FOR SELECT id, note FROM orders WHERE id < 4 ORDER BY id",
        "CLOSE ALL",
        "FETCH k",
        "FETCH l",
    ),
    "savepoints": (
        "BEGIN",
        "DECLARE a CURSOR WITH HOLD FOR SELECT 1",
        "SAVEPOINT s",
        "DECLARE b CURSOR WITH HOLD FOR SELECT 2",
        "CLOSE a",
        "ROLLBACK TO s",
        "FETCH b",
        "ROLLBACK TO s",
        "FETCH a",
        "ROLLBACK",
    ),
    "errors": (
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT nothing FROM orders",
        "ROLLBACK",
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT 10 / (3 - n) FROM generate_series(1, 5) n",
        "FETCH c",
        "FETCH c",
        "FETCH c",
        "ROLLBACK",
        "DISCARD ALL",
    ),
}

TABLES = {
    "made and filled": (
        "CREATE TEMP TABLE tmp_ids (id int PRIMARY KEY, note text DEFAULT 'none' NOT NULL) ON COMMIT PRESERVE ROWS",
        "INSERT INTO tmp_ids (id) SELECT id FROM orders WHERE status = 'paid'",
        "SELECT o.id, o.amount, t.note FROM orders o JOIN tmp_ids t ON t.id = o.id ORDER BY o.id",
        "UPDATE tmp_ids SET note = upper(o.note) FROM orders o WHERE o.id = tmp_ids.id RETURNING tmp_ids.id",
        "SELECT * FROM tmp_ids ORDER BY id",
        "INSERT INTO tmp_ids VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET note = excluded.note RETURNING *",
        "INSERT INTO tmp_ids VALUES (1, 'x')",
        "INSERT INTO tmp_ids (id, note) VALUES (100, NULL)",
        "DELETE FROM tmp_ids USING orders WHERE orders.id = tmp_ids.id AND orders.amount > 300 RETURNING tmp_ids.id",
        "CREATE INDEX ON tmp_ids (lower(note))",
        "SELECT count(*) FROM tmp_ids WHERE pg_size_bytes(note) IS NULL",
        "TRUNCATE tmp_ids",
        "SELECT * FROM tmp_ids",
        "DROP TABLE tmp_ids",
        "SELECT * FROM tmp_ids",
        "DROP TABLE tmp_ids",
        "DROP TABLE IF EXISTS tmp_ids",
    ),
    "from queries": (
        "SELECT id, amount INTO TEMP tmp_sel FROM orders WHERE id < 5",
        "SELECT count(*), sum(amount) FROM tmp_sel",
        "CREATE TEMP TABLE tmp_as (a, b) AS SELECT id, 'x' FROM orders ORDER BY id WITH NO DATA",
        "SELECT * FROM tmp_as",
        "CREATE TEMP TABLE IF NOT EXISTS tmp_as AS SELECT 1 AS other",
        "SELECT a, b FROM tmp_as",
        "CREATE TEMP TABLE tmp_as AS SELECT 1",
        "PREPARE p (int) AS SELECT id, secret FROM orders WHERE id < $1",
        "CREATE TEMP TABLE tmp_run AS EXECUTE p (4)",
        "SELECT count(*), max(secret) FROM tmp_run WHERE id > 1",
        "INSERT INTO tmp_run SELECT id, note FROM orders WHERE id = 9",
        "SELECT * FROM tmp_run ORDER BY id",
        "DISCARD TEMP",
        "SELECT * FROM tmp_run",
        "DEALLOCATE p",
    ),
    "undone": (
        "BEGIN",
        "CREATE TEMP TABLE tmp_a (a int)",
        "SAVEPOINT s",
        "CREATE TEMP TABLE tmp_b AS SELECT 1 AS b",
        "DROP TABLE tmp_a",
        "SELECT * FROM tmp_b",
        "ROLLBACK TO s",
        "SELECT * FROM tmp_a",
        "SELECT * FROM tmp_b",
        "ROLLBACK",
        "SELECT * FROM tmp_a",
        "CREATE TEMP TABLE tmp_a (a text)",
        "SELECT a || 'x' FROM tmp_a",
        "DISCARD ALL",
        "SELECT * FROM tmp_a",
    ),
    "on commit": (
        "BEGIN",
        "CREATE TEMP TABLE tmp_d (a int) ON COMMIT DROP",
        "CREATE TEMP TABLE tmp_e (a int) ON COMMIT DELETE ROWS",
        "INSERT INTO tmp_d VALUES (1)",
        "INSERT INTO tmp_e SELECT a FROM tmp_d",
        "SELECT * FROM tmp_e",
        "COMMIT",
        "SELECT * FROM tmp_e",
        "SELECT * FROM tmp_d",
        "DROP TABLE tmp_e",
    ),
    "discards": ("DISCARD PLANS", "DISCARD SEQUENCES", "DISCARD TEMP", "BEGIN", "DISCARD ALL", "ROLLBACK"),
}

SETTINGS = {
    "time zones": (
        "SET TIME ZONE 'Europe/Berlin'",
        "SHOW timezone",
        "SET TIME ZONE -7",
        "SHOW timezone",
        "SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE",
        "SELECT '2024-01-01 00:00+00'::timestamptz::text",
        "SHOW timezone",
        "BEGIN",
        "SET LOCAL TIME ZONE 'Asia/Tokyo'",
        "SHOW timezone",
        "ROLLBACK",
        "SHOW timezone",
        "RESET timezone",
        "SHOW timezone",
    ),
    "spellings": (
        "SET NAMES 'utf-8'",
        "SET client_encoding TO 'Unicode'",
        "SET standard_conforming_strings = tru",
        "SET row_security TO 1",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SHOW default_transaction_read_only",
        "INSERT INTO notes (id, body) VALUES (9100, 'x')",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET LOCAL work_mem = '1MB'",
        "SHOW work_mem",
        "SET XML OPTION DOCUMENT",
        "SHOW xmloption",
        'SET "DateStyle" TO iso, dmy',
        "SHOW datestyle",
        "RESET datestyle",
        "SHOW datestyle",
        "RESET xmloption",
        "SHOW xmloption",
    ),
}

STRINGS = {
    "all in one": "PREPARE p (int) AS SELECT id FROM orders WHERE id = $1; EXECUTE p (5); DEALLOCATE p; SELECT 1",
    "again": "PREPARE p AS SELECT 1; DEALLOCATE p; PREPARE p AS SELECT 2; EXECUTE p; DEALLOCATE ALL",
    "type": "PREPARE p (nothing) AS SELECT $1",
    "over": "PREPARE p AS SELECT 1; SELECT 1 / 0; PREPARE q AS SELECT 2",
}


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        yield proxy


def private(server: Cluster) -> RawClient:
    return RawClient("127.0.0.1", server.port, "app", "private1")


def told(client: RawClient, statements: tuple[str, ...], protocol: str) -> list[list[Seen]]:
    """What each statement was answered."""
    ask = client.simple if protocol == "simple" else client.extended
    return [observe(ask(one), ordered=True) for one in statements]


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("name", PREPARED)
def test_prepared_statements_answer_as_on_a_private_database(
    shared_server: Cluster, proxy: Proxy, name: str, protocol: str
) -> None:
    with private(shared_server) as direct, proxy.connect("acme_app") as client:
        expected, seen = (told(one, PREPARED[name], protocol) for one in (direct, client))
    assert list(zip(PREPARED[name], seen, strict=True)) == list(zip(PREPARED[name], expected, strict=True))


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("name", CURSORS)
def test_cursors_answer_as_on_a_private_database(
    shared_server: Cluster, proxy: Proxy, name: str, protocol: str
) -> None:
    with private(shared_server) as direct, proxy.connect("acme_app") as client:
        expected, seen = (told(one, CURSORS[name], protocol) for one in (direct, client))
    assert list(zip(CURSORS[name], seen, strict=True)) == list(zip(CURSORS[name], expected, strict=True))


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("name", TABLES)
def test_temporary_tables_answer_as_on_a_private_database(
    shared_server: Cluster, proxy: Proxy, name: str, protocol: str
) -> None:
    with private(shared_server) as direct, proxy.connect("acme_app") as client:
        expected, seen = (told(one, TABLES[name], protocol) for one in (direct, client))
    assert list(zip(TABLES[name], seen, strict=True)) == list(zip(TABLES[name], expected, strict=True))


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_in_every_spelling_answer_as_on_a_private_database(
    shared_server: Cluster, proxy: Proxy, name: str, protocol: str
) -> None:
    with private(shared_server) as direct, proxy.connect("acme_app") as client:
        expected, seen = (told(one, SETTINGS[name], protocol) for one in (direct, client))
    assert list(zip(SETTINGS[name], seen, strict=True)) == list(zip(SETTINGS[name], expected, strict=True))


def test_a_temporary_table_can_be_named_in_the_same_string_and_pipeline(shared_server: Cluster, proxy: Proxy) -> None:
    text = "CREATE TEMP TABLE tmp_s (id int); INSERT INTO tmp_s SELECT id FROM orders; SELECT count(*) FROM tmp_s"
    answers = []
    for connect in (partial(private, shared_server), partial(proxy.connect, "acme_app")):
        with connect() as client:
            seen = [client.simple(text)]
            for one in ("CREATE TEMP TABLE tmp_p AS SELECT id FROM orders", "SELECT count(*) FROM tmp_p, tmp_s"):
                parse(client, "", one)
                bind_execute(client, "")
            client.send("S")
            seen.append(client.collect())
            answers.append([observe(one, ordered=True) for one in seen])
    assert answers[0] == answers[1]


def test_two_sessions_tables_of_one_name_have_nothing_to_do_with_each_other(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as one, proxy.connect("acme_app") as other, proxy.connect("globex_app") as third:
        one.simple("CREATE TEMP TABLE mine AS SELECT id FROM orders WHERE id < 4")
        other.simple("CREATE TEMP TABLE mine (note text)")
        assert one.simple("SELECT count(*) FROM mine WHERE id > 1").rows == [(b"2",)]
        assert other.simple("SELECT count(*) FROM mine WHERE note > ''").rows == [(b"0",)]
        assert [one["C"] for one in third.simple("SELECT * FROM mine").errors] == ["42P01"]
        assert [one["C"] for one in other.simple("SELECT id FROM mine").errors] == ["42703"]
    with proxy.connect("acme_app") as later:
        assert [one["C"] for one in later.simple("SELECT * FROM mine").errors] == ["42P01"]


def test_a_cursor_with_hold_keeps_its_connection_until_it_is_closed_and_no_longer(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client, proxy.connect("acme_app") as other:
        client.simple("DECLARE h CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id")
        assert [one["C"] for one in other.simple("FETCH h").errors] == ["34000"]
        assert client.simple("FETCH 2 FROM h").rows == [(b"1",), (b"2",)]
        assert client.simple("SHOW work_mem").errors == []
        assert client.simple("FETCH 1 FROM h").rows == [(b"3",)]
        client.simple("CLOSE h")
        client.simple("BEGIN")
        client.simple("DECLARE h CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id")
        client.simple("ROLLBACK")
    with proxy.connect("acme_app") as client, proxy.connect("acme_app") as other:
        client.simple("DECLARE h CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id")
        client.close()
        assert [one["C"] for one in other.simple("FETCH h").errors] == ["34000"]


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_a_row_is_not_changed_through_a_cursor_whose_rows_are_computed_behind_a_boundary(
    proxy: Proxy, protocol: str
) -> None:
    query = "SELECT o.id FROM orders o JOIN (SELECT id FROM customers WHERE name ~ 'x') c ON c.id = o.customer_id"
    with proxy.connect("acme_app") as client:
        ask = client.simple if protocol == "simple" else client.extended
        for declared in (f"DECLARE c CURSOR FOR {query}", f"DECLARE c CURSOR FOR {query} FOR UPDATE OF o"):
            assert ask("BEGIN").errors == []
            assert ask(declared).errors == []
            refused = ask("UPDATE orders SET note = 'x' WHERE CURRENT OF c").errors
            assert [one["C"] for one in refused] == ["0A000"]
            assert 'cursor "c"' in refused[0]["M"]
            ask("ROLLBACK")


@pytest.mark.parametrize("name", STRINGS)
def test_several_of_them_in_one_string_answer_as_on_a_private_database(
    shared_server: Cluster, proxy: Proxy, name: str
) -> None:
    statements = (STRINGS[name], "EXECUTE p", "EXECUTE q", "DEALLOCATE ALL", STRINGS[name])
    with private(shared_server) as direct, proxy.connect("acme_app") as client:
        expected, seen = (told(one, statements, "simple") for one in (direct, client))
    assert seen == expected


def test_a_prepared_statement_follows_its_session_to_another_connection(proxy: Proxy) -> None:
    with (
        proxy.connect("acme_app") as client,
        proxy.connect("acme_app") as other,
        proxy.connect("globex_app") as foreign,
    ):
        client.simple("PREPARE p (int) AS SELECT count(*) FROM orders WHERE id <> $1")
        other.simple("BEGIN")  # takes the connection that it was prepared on
        other.simple("SELECT 1")
        assert client.simple("EXECUTE p (0)").rows == [(b"21",)]
        assert client.extended("EXECUTE p (0)").rows == [(b"21",)]
        assert [one["C"] for one in other.simple("EXECUTE p (0)").errors] == ["26000"]
        assert [one["C"] for one in foreign.simple("EXECUTE p (0)").errors] == ["26000"]
        foreign.simple("PREPARE p (int) AS SELECT count(*) FROM orders WHERE id <> $1")
        assert foreign.simple("EXECUTE p (0)").rows == [(b"22",)]


def parse(client: RawClient, name: str, text: str) -> None:
    client.send("P", f"{name}\0{text}\0".encode() + b"\0\0")


def bind_execute(client: RawClient, name: str, *values: bytes) -> None:
    given = b"".join(len(one).to_bytes(4, "big") + one for one in values)
    client.send("B", b"\0" + name.encode() + b"\0\0\0" + len(values).to_bytes(2, "big") + given + b"\0\0")
    client.send("D", b"P\0")
    client.send("E", b"\0\0\0\0\0")


def one_name_space(client: RawClient) -> list[list[Seen]]:
    """Names of Parse used in SQL, and the other way."""
    seen = []
    parse(client, "s1", "SELECT id FROM orders WHERE id = $1")
    client.send("S")
    seen.append(client.collect())
    third = "PREPARE s2 (int) AS SELECT id, note FROM orders WHERE id = $1"
    seen += [client.simple(text) for text in ("EXECUTE s1 (5)", "PREPARE s1 AS SELECT 1", third)]
    bind_execute(client, "s2", b"7")
    client.send("S")
    seen.append(client.collect())
    parse(client, "s2", "SELECT 1")
    client.send("S")
    seen.append(client.collect())
    client.send("D", b"Ss2\0")
    client.send("S")
    seen.append(client.collect())
    seen.append(client.simple("DEALLOCATE s1"))
    client.send("C", b"Ss2\0")
    bind_execute(client, "s1", b"5")
    client.send("S")
    seen.append(client.collect())
    seen.append(client.simple("EXECUTE s2 (5)"))
    parse(client, "e", "EXECUTE later (5)")  # what it executes comes after it
    parse(client, "p", "PREPARE later (int) AS SELECT $1 + 1 AS sum")
    bind_execute(client, "p")
    bind_execute(client, "e")
    bind_execute(client, "p")
    client.send("S")
    seen.append(client.collect())
    seen += [client.simple(text) for text in ("EXECUTE e", "EXECUTE p", "DEALLOCATE later")]
    return [observe(one, ordered=True) for one in seen]


def test_sql_and_protocol_share_one_name_space(shared_server: Cluster, proxy: Proxy) -> None:
    with private(shared_server) as direct, proxy.connect("acme_app") as client:
        expected, seen = one_name_space(direct), one_name_space(client)
    assert seen[:-3] == expected[:-3]
    # A statement that is itself PREPARE or EXECUTE cannot be executed by EXECUTE here.
    assert [one[0][2] for one in seen[-3:-1]] == ["0A000", "0A000"]
    assert seen[-1] == expected[-1]
