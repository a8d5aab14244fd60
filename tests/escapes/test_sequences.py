"""Sequences that are per tenant: each tenant counts by itself, and sees nothing of how far another has come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.tenancy.derived import own_sequence, seed
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rules import TENANTS
from tests.kit.sample import pristine

SCHEMA = """
CREATE SEQUENCE own_no START 5;
CREATE TABLE invoices (tenant_id int NOT NULL{default}, no bigint NOT NULL DEFAULT nextval('own_no'), note text,
                       PRIMARY KEY (tenant_id, no));
CREATE TABLE receipts (tenant_id int NOT NULL{default}, no bigint PRIMARY KEY DEFAULT nextval('own_no'), note text);
GRANT SELECT, INSERT, UPDATE, DELETE ON invoices, receipts TO app;
GRANT USAGE, UPDATE ON SEQUENCE own_no TO app;
"""


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with pristine(shared_server) as database:
        text = SCHEMA.format(default="")
        for tenant in TENANTS.values():
            own = own_sequence("own_no", seed(tenant, database))
            text += f"CREATE SEQUENCE {own} START 5; GRANT USAGE, UPDATE ON SEQUENCE {own} TO app;"
        shared_server.psql(database, text)
        with running_proxy(shared_server.port, database, "invoice_no_seq: shared, own_no: per_tenant") as proxy:
            yield proxy


@pytest.fixture
def private(shared_server: Cluster) -> Iterator[RawClient]:
    with pristine(shared_server, "private1") as database:
        shared_server.psql(database, SCHEMA.format(default=" DEFAULT 1"))
        with RawClient("127.0.0.1", shared_server.port, "app", database) as client:
            yield client


STATEMENTS = (
    "SELECT nextval('own_no')",
    "SELECT nextval('public.own_no'::regclass), nextval('\"own_no\"'::text)",
    "INSERT INTO invoices (note) VALUES ('a'), ('b') RETURNING no, note",
    "INSERT INTO invoices (no, note) VALUES (DEFAULT, 'c'), (1000, 'd') RETURNING no, note",
    "INSERT INTO invoices DEFAULT VALUES RETURNING no",
    "INSERT INTO invoices (note) SELECT name FROM categories ORDER BY name LIMIT 2 RETURNING no",
    "WITH n AS (INSERT INTO invoices (note) VALUES ('e') RETURNING no) SELECT no FROM n",
    "SELECT setval('own_no', 40), setval('own_no', 50, false)",
    "INSERT INTO invoices (note) VALUES ('f') ON CONFLICT DO NOTHING RETURNING no",
    "BEGIN; SELECT nextval('own_no'), currval('own_no'); SELECT currval('own_no'); COMMIT",
    "SELECT setval('own_no', 0)",
    "SELECT nextval('own_no') FROM categories WHERE false",
    "INSERT INTO invoices (note, no) SELECT note, no + 100 FROM invoices WHERE note = 'a' RETURNING no",
    "SELECT no, note FROM invoices ORDER BY no",
)


def test_each_tenant_counts_as_on_a_database_of_its_own(proxy: Proxy, private: RawClient) -> None:
    with proxy.connect("acme_app") as mine, proxy.connect("globex_app") as foreign:
        for one in (mine, private):
            one.simple("SELECT setval('own_no', 5, false)")
        for statement in STATEMENTS:
            for _ in range(3):
                foreign.simple("SELECT nextval('own_no')")
            seen, expected = mine.simple(statement), private.simple(statement)
            told = [([(one["C"], one["M"]) for one in each.errors], each.rows, each.tags) for each in (seen, expected)]
            assert told[0] == told[1], statement
            assert b"__t_" not in seen.raw


def test_prepared_statements_count_too(proxy: Proxy) -> None:
    with proxy.connect("initech_app") as client, proxy.connect("globex_app") as foreign:
        client.simple("SELECT setval('own_no', 700)")
        foreign.simple("SELECT setval('own_no', 3)")
        found = client.extended("INSERT INTO invoices (note) VALUES ($1) RETURNING no", [b"x"])
        assert found.rows == [(b"701",)]
        client.simple("PREPARE p AS SELECT nextval('own_no')")
        assert client.simple("EXECUTE p").rows == [(b"702",)]
        assert client.extended("SELECT nextval('own_no')").rows == [(b"703",)]


def test_a_number_is_the_sessions_own_and_forgotten_with_its_transaction(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as first, proxy.connect("acme_app") as second:
        for one in (first, second, first):
            (problem,) = one.simple("SELECT currval('own_no')").errors
            assert (problem["C"], problem["M"]) == (
                "55000", 'currval of sequence "own_no" is not yet defined in this session',
            )  # fmt: skip
            assert one.simple("SELECT nextval('own_no')").errors == []


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT lastval()", "0A000"),
        ("SELECT currval('invoice_no_seq')", "0A000"),
        ("SELECT setval('invoice_no_seq', 1)", "42501"),
        ("SELECT nextval('accounts_id_seq')", "42P01"),
        ("SELECT nextval('own_no__t_0123456789abcdef')", "42P01"),
        ("SELECT nextval($1::text)", "0A000"),
        ("SELECT nextval(note) FROM orders", "0A000"),
        ("SELECT last_value FROM own_no", "42P01"),
        ("SELECT last_value FROM invoice_no_seq", "42P01"),
        ("SELECT * FROM own_no FOR UPDATE", "42P01"),
        ("SELECT pg_sequence_last_value('own_no')", "42501"),
        ("SELECT pg_sequence_last_value('own_no'::regclass)", "42501"),
        ("INSERT INTO receipts (note) VALUES ('x')", "0A000"),
        ("INSERT INTO invoices (note) SELECT 'x' UNION SELECT 'y'", "0A000"),
        ("INSERT INTO invoices (note) SELECT DISTINCT note FROM orders", "0A000"),
        ("UPDATE invoices SET no = DEFAULT", "0A000"),
        ("LOCK TABLE own_no", "42P01"),
    ],
)
def test_what_would_show_or_move_another_counter_is_refused(proxy: Proxy, statement: str, code: str) -> None:
    with proxy.connect("acme_app") as client:
        found = client.extended(statement, [b"own_no"]) if "$1" in statement else client.simple(statement)
        assert [one["C"] for one in found.errors] == [code]
        assert b"__t_" not in found.raw.replace(statement.encode(), b"").replace(b"own_no__t_0123456789abcdef", b"")


def test_another_tenants_own_sequence_cannot_be_named(proxy: Proxy) -> None:
    own = own_sequence("own_no", seed("globex", proxy.database))
    with proxy.connect("acme_app") as client:
        for statement in (
            f"SELECT nextval('{own}')",
            f"SELECT '{own}'::regclass",
            f"SELECT last_value FROM {own}",
            f"SELECT to_regclass('{own}')",
            f"SELECT has_sequence_privilege('{own}', 'USAGE')",
        ):
            (problem,) = client.simple(statement).errors
            assert problem["C"] in {"42P01", "0A000"}, statement
