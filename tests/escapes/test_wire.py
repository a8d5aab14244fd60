"""The attackers' corpus below SQL: each of its wire entries, sent as bytes to a real proxy before a real server."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import yaml

from tests.kit.checksums import foreign_checksums
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import Exchange, Message, RawClient, message
from tests.kit.sample import pristine

COVERED: list[str] = []
SYNC = ("S", b"")
T = TypeVar("T", bound=Callable[..., None])


def covers(*ids: str) -> Callable[[T], T]:
    """Says which entries of the corpus a test is."""
    COVERED.extend(ids)
    return lambda test: test


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with pristine(shared_server) as database, running_proxy(shared_server.port, database) as running:
        before = foreign_checksums(shared_server, database, 1)
        yield running
        assert foreign_checksums(shared_server, database, 1) == before


@pytest.fixture
def client(proxy: Proxy) -> Iterator[RawClient]:
    """acme's; afterwards another of its sessions, and another tenant's, work as ever."""
    with proxy.connect("acme_app") as one:
        yield one
    for login, key in (("acme_app", b"1"), ("globex_app", b"2")):
        with proxy.connect(login) as other:
            assert other.simple("SELECT DISTINCT tenant_id FROM orders").rows == [(key,)]


@pytest.fixture
def private(shared_server: Cluster) -> Iterator[RawClient]:
    with RawClient("127.0.0.1", shared_server.port, "app", "private1") as one:
        yield one


def pipeline(client: RawClient, *messages: tuple[str, bytes]) -> Exchange:
    """Messages in one write; everything up to ReadyForQuery, or to the end."""
    client.socket.sendall(b"".join(message(*one) for one in messages))
    return client.collect()


def parse(text: str, name: str = "", types: tuple[int, ...] = ()) -> tuple[str, bytes]:
    return "P", f"{name}\0{text}\0".encode() + struct.pack(f"!h{len(types)}i", len(types), *types)


def bind(name: str = "", portal: str = "", values: tuple[bytes, ...] = (), form: int = 0) -> tuple[str, bytes]:
    given = b"".join(struct.pack("!i", len(one)) + one for one in values)
    body = f"{portal}\0{name}\0".encode() + struct.pack("!hh", 1, form) + struct.pack("!h", len(values)) + given
    return "B", body + struct.pack("!hh", 1, form)


def execute(portal: str = "", rows: int = 0) -> tuple[str, bytes]:
    return "E", portal.encode() + b"\0" + struct.pack("!i", rows)


def codes(exchange: Exchange) -> list[str]:
    return [one["C"] for one in exchange.errors]


def stations(exchange: Exchange) -> list[str]:
    return [one.tag for one in exchange.messages if one.tag not in "NS"]


@covers("W001", "W002")
@pytest.mark.parametrize("function", [1598, 715, 2923])  # random(), lo_get's and query_to_xml's neighbours: any number
def test_a_function_is_never_called_by_its_number(client: RawClient, function: int) -> None:
    told = pipeline(client, ("F", struct.pack("!ihhh", function, 0, 0, 0)))
    assert codes(told) == ["0A000"]
    assert told.status == "I"
    assert client.simple("SELECT 1").rows == [(b"1",)]


@covers("W004", "W006", "W008")
@pytest.mark.parametrize(
    ("parameters", "sqlstate"),
    [
        ({"standard_conforming_strings": "off"}, "42501"),
        ({"role": "postgres"}, "42501"),
        ({"session_preload_libraries": "x"}, "42501"),
        ({"options": "-c search_path=pg_temp"}, "42501"),
        ({"client_encoding": "SJIS"}, "0A000"),
        ({"client_encoding": "SQL_ASCII"}, "0A000"),
        ({"replication": "database"}, "0A000"),
        ({"replication": "true"}, "0A000"),
    ],
)
def test_no_startup_parameter_changes_what_is_seen(proxy: Proxy, parameters: dict[str, str], sqlstate: str) -> None:
    with proxy.connect("acme_app", **parameters) as one:
        assert codes(one.greeting) == [sqlstate]
        assert one.greeting.closed


@covers("W009")
@pytest.mark.parametrize("database", ["postgres", "private2", "template1", "no_such_database"])
def test_only_the_databases_of_the_rules_exist(proxy: Proxy, database: str) -> None:
    with RawClient("127.0.0.1", proxy.port, "acme_app", database, proxy.passwords["acme_app"]) as one:
        assert codes(one.greeting) == ["3D000"]
        assert one.greeting.errors[0]["M"] == f'database "{database}" does not exist'


@covers("W010")
@pytest.mark.parametrize("user", ["postgres", "app", "app_owner", "ACME_APP", "acme_app "])
def test_a_role_of_the_servers_is_no_login_and_looks_like_a_wrong_password(proxy: Proxy, user: str) -> None:
    with RawClient("127.0.0.1", proxy.port, user, proxy.database, "x") as one:
        unknown = one.greeting.errors
    with RawClient("127.0.0.1", proxy.port, "acme_app", proxy.database, "x") as one:
        known = one.greeting.errors
    assert unknown[0]["C"] == "28P01"
    assert unknown == [{name: text.replace("acme_app", user) for name, text in known[0].items()}]


@covers("W011")
def test_a_newer_protocol_is_negotiated_down(proxy: Proxy) -> None:
    one = RawClient.__new__(RawClient)
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as raw:
        body = f"user\0acme_app\0database\0{proxy.database}\0_pq_.foo\0001\0\0".encode()
        raw.sendall(struct.pack("!ii", len(body) + 8, 0x0003270F) + body)
        one.socket, one.buffer = raw, b""
        answer = one.receive()
        assert answer == Message("v", struct.pack("!ii", 0x00030002, 1) + b"_pq_.foo\0")
        asked = one.receive()
        assert asked is not None
        assert asked.tag == "R"


@covers("W013", "W033", "W034", "W035", "W039")
@pytest.mark.parametrize(
    "data",
    [
        b"Q\0\0\0\x0cSELECT 1",  # no NUL at the end
        b"Q\x7f\xff\xff\xff",
        b"P\xff\xff\xff\xff",
        b"Q\0\0\0\3",
        b"S\0\0\0\0",
        b"y\0\0\0\4",
        b"\0\0\0\0\4",
        b"p\0\0\0\x09fake\0",
        b"Z\0\0\0\5I",
    ],
)
def test_what_is_no_message_ends_the_session_with_a_word(client: RawClient, data: bytes) -> None:
    client.socket.sendall(data + b"Q\0\0\0\x0dSELECT 1\0")
    told = client.collect()
    assert codes(told) == ["08P01"]
    assert told.errors[0]["S"] == "FATAL"
    assert told.closed
    assert told.rows == []


@covers("W014")
def test_a_prepared_text_holds_one_statement(client: RawClient, private: RawClient) -> None:
    for one in (client, private):
        told = pipeline(one, parse("SELECT 1; DELETE FROM orders"), bind(), execute(), SYNC)
        assert (codes(told), told.status) == (["42601"], "I")
    assert client.simple("SELECT count(*) > 0 FROM orders").rows == [(b"t",)]


@covers("W015", "W020")
def test_names_of_statements_are_the_sessions_own(proxy: Proxy, client: RawClient) -> None:
    assert stations(pipeline(client, parse("SELECT 1", "s1"), SYNC)) == ["1", "Z"]
    assert codes(pipeline(client, parse("SELECT 2", "s1"), SYNC)) == ["42P05"]
    with proxy.connect("globex_app") as other:
        assert codes(pipeline(other, bind("s1"), execute(), SYNC)) == ["26000"]
        assert stations(pipeline(other, parse("SELECT 3", "s1"), bind("s1"), execute(), SYNC)) == [*"12DCZ"]
    assert pipeline(client, bind("s1"), execute(), SYNC).rows == [(b"1",)]


@covers("W017")
def test_a_statement_prepared_in_sql_is_confined_when_it_is_bound(client: RawClient) -> None:
    assert client.simple("PREPARE s2 AS SELECT count(*) FROM orders").tags == ["PREPARE"]
    assert pipeline(client, bind("s2"), execute(), SYNC).rows == [(b"21",)]


@covers("W019")
def test_discard_all_takes_the_sessions_statements_away(client: RawClient) -> None:
    pipeline(client, parse("SELECT 1", "s1"), SYNC)
    assert client.simple("DISCARD ALL").tags == ["DISCARD ALL"]
    assert codes(pipeline(client, bind("s1"), execute(), SYNC)) == ["26000"]


@covers("W021")
def test_a_suspended_portal_ends_with_its_transaction(client: RawClient, private: RawClient) -> None:
    text = "SELECT id FROM orders ORDER BY id"
    answers = []
    for one in (client, private):
        first = pipeline(one, parse(text), bind(portal="p"), execute("p", 2), SYNC)
        second = pipeline(one, execute("p", 2), SYNC)
        one.simple("BEGIN")
        inside = pipeline(one, parse(text), bind(portal="p"), execute("p", 2), SYNC)
        more = pipeline(one, execute("p", 2), SYNC)
        one.simple("ROLLBACK")
        answers.append((stations(first), first.rows, codes(second), inside.rows, more.rows, stations(more)))
    assert answers[0] == answers[1]
    assert answers[0][2] == ["34000"]
    assert len(answers[0][4]) == 2


@covers("W023")
@pytest.mark.parametrize("oid", [0, 23, 25])
def test_parameters_keep_their_numbers_and_types(client: RawClient, private: RawClient, oid: int) -> None:
    text = "SELECT id FROM orders WHERE tenant_id = $1 AND id > $2 ORDER BY id"
    answers = []
    for one in (client, private):
        described = pipeline(one, parse(text, "w", (oid, 23)), ("D", b"Sw\0"), SYNC)
        told = pipeline(one, bind("w", values=(b"1", b"3")), execute(), ("C", b"Sw\0"), SYNC)
        answers.append(([m.body for m in described.messages if m.tag == "t"], codes(described), told.rows, codes(told)))
    assert answers[0] == answers[1]
    assert (answers[0][2] != []) is (oid != 25)  # integer = text does not exist


@covers("W025")
def test_binary_values_go_both_ways(client: RawClient, private: RawClient) -> None:
    text = "SELECT id, tenant_id, note, amount FROM orders WHERE id = $1"
    answers = []
    for one in (client, private):
        value = struct.pack("!i", 1)
        told = pipeline(one, parse(text, types=(23,)), bind(values=(value,), form=1), execute(), SYNC)
        answers.append(told.rows)
    assert answers[0] == answers[1]
    assert answers[0][0][1] == struct.pack("!i", 1)
    foreign = pipeline(
        client, parse(text, types=(23,)), bind(values=(struct.pack("!i", 1 << 30),), form=1), execute(), SYNC
    )
    assert foreign.rows == []


@covers("W027")
@pytest.mark.parametrize("message", [("Q", b"SELECT count(*) FROM orders\0"), ("X", b""), parse("SELECT 1"), SYNC])
def test_in_the_middle_of_a_copy_nothing_but_its_data_is_read(
    client: RawClient, private: RawClient, message: tuple[str, bytes]
) -> None:
    answers = []
    for one in (client, private):
        assert stations(one.simple("COPY customers (id, name) FROM STDIN")) == ["G"]
        answers.append(pipeline(one, message, ("f", b"enough\0")))
    ours, theirs = answers
    assert ours.closed == theirs.closed == (message != SYNC)
    assert codes(ours)[-1:] == codes(theirs)[-1:] == ["57014" if message == SYNC else "08P01"]


@covers("W029")
def test_what_follows_the_end_marker_of_a_copy_is_nobodys(client: RawClient, private: RawClient) -> None:
    answers = []
    for one in (client, private):
        one.simple("BEGIN")
        one.simple("COPY customers (id, name) FROM STDIN")
        told = one.copy_data(b"985\tx\n\\.\n986\ty\n")
        rows = one.simple("SELECT tenant_id, id FROM customers WHERE id IN (985, 986)").rows
        answers.append((told.tags, rows))
        assert stations(pipeline(one, ("d", b"987\tz\n"), ("c", b""), ("Q", b"ROLLBACK\0"))) == ["C", "Z"]
    assert answers[0] == answers[1] == (["COPY 1"], [(b"1", b"985")])


@covers("W030")
@pytest.mark.parametrize("count", [3, 2, 1, 0, -1, -2, 32766])
def test_a_binary_row_has_the_tenants_column_and_never_another(
    client: RawClient, private: RawClient, count: int
) -> None:
    fields = b"".join(struct.pack("!i", len(one)) + one for one in (b"\0\0\3\xda", b"evil", b"\0\0\0\2"))
    data = b"PGCOPY\n\xff\r\n\0" + bytes(8) + struct.pack("!h", count) + fields
    answers = []
    for one in (client, private):
        one.simple("BEGIN")
        one.simple("COPY customers (id, name) FROM STDIN BINARY")
        told = one.copy_data(data)
        answers.append([{letter: error[letter] for letter in "CMW"} for error in told.errors] or told.tags)
        one.simple("ROLLBACK")
    assert answers[0] == answers[1]


@covers("W031")
def test_a_guessed_key_cancels_nobody_and_an_own_key_its_own_session(proxy: Proxy, client: RawClient) -> None:
    def cancel(process_id: int, secret: bytes) -> None:
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as raw:
            raw.sendall(struct.pack("!iii", 12 + len(secret), 80877102, process_id) + secret)
            assert raw.recv(1) == b""

    process_id, secret = client.key
    with proxy.connect("globex_app") as other:
        assert other.key != client.key
        client.send("Q", b"SELECT pg_sleep(0.4)\0")
        cancel(process_id, bytes(4))
        cancel(process_id, other.key[1])
        cancel(other.key[0], secret)
        told = client.collect()
        assert codes(told) == []
        client.send("Q", b"SELECT pg_sleep(30)\0")
        while not select.select([client.socket], [], [], 0.1)[0]:  # one that comes before the statement is for nothing
            cancel(process_id, secret)
        told = client.collect()
        assert codes(told) == ["57014"]
        assert client.simple("SELECT 1").rows == [(b"1",)]


@covers("W032")
def test_plaintext_in_one_packet_with_an_encryption_request_is_refused(proxy: Proxy) -> None:
    for number in (80877103, 80877104):
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as raw:
            body = f"user\0acme_app\0database\0{proxy.database}\0\0".encode()
            raw.sendall(struct.pack("!ii", 8, number) + struct.pack("!ii", len(body) + 8, 196608) + body)
            answer = b""
            while data := raw.recv(4096):
                answer += data
        assert b"C08P01\0" in answer
        assert b"SCRAM" not in answer


@covers("W036")
def test_one_error_in_a_pipeline_skips_the_rest_up_to_sync(client: RawClient, private: RawClient) -> None:
    for one in (client, private):
        told = pipeline(one, parse("SELEC 1"), bind(), execute(), ("Q", b"SELECT 'skipped'\0"), SYNC)
        assert stations(told) == ["E", "Z"]
        assert one.simple("SELECT 'in step'").rows == [(b"in step",)]


@covers("W038")
def test_a_refused_setting_inside_a_pipeline_takes_what_follows_with_it(client: RawClient) -> None:
    told = pipeline(
        client, parse("SET row_security = off"), bind(), execute(), parse("SELECT tenant_id FROM orders"), bind(),
        execute(), SYNC,
    )  # fmt: skip
    assert codes(told) == ["42501"]
    assert told.rows == []
    told = pipeline(
        client,
        parse("SET app.tenant_id = 2"),
        bind(),
        execute(),
        parse("SELECT DISTINCT tenant_id FROM orders"),
        bind(),
        execute(),
        SYNC,
    )
    assert told.rows in ([], [(b"1",)])


@covers("W040")
def test_a_transaction_ends_with_its_client(proxy: Proxy, client: RawClient) -> None:
    with proxy.connect("acme_app") as leaving:
        leaving.simple("BEGIN")
        assert leaving.simple("UPDATE orders SET note = 'gone' WHERE id = 1").tags == ["UPDATE 1"]
        leaving.simple("SET LOCAL work_mem = '77kB'")
    assert client.simple("SELECT count(*) FROM orders WHERE note = 'gone'").rows == [(b"0",)]
    assert client.simple("SHOW work_mem").rows != [(b"77kB",)]
    assert client.simple("UPDATE orders SET note = note WHERE id = 1").tags == ["UPDATE 1"]  # no lock is left


def test_every_wire_entry_of_the_corpus_is_here_once() -> None:
    text = (Path(__file__).parents[1] / "data" / "attacks.yaml").read_text(encoding="utf-8")
    entries = [one["id"] for one in yaml.load(text, yaml.CSafeLoader)["entries"] if "wire" in one]
    assert len(entries) > 25
    assert sorted(COVERED) == sorted(entries)
