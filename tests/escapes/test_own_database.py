"""A tenant with a database of its own tries to reach the server, other databases, and what its other sessions left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.owned import owned_nothing
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rules import own_rules

ROLE = "own_escapes"
DATABASE = "own_escapes_db"


@pytest.fixture(scope="module")
def proxy(server: Cluster) -> Iterator[Proxy]:
    """A tenant that owns its database; of one server connection, so that each session gets that of the one before."""
    server.psql(sql=f"CREATE ROLE {ROLE} LOGIN")
    server.create_database(DATABASE)
    server.psql(sql=f"ALTER DATABASE {DATABASE} OWNER TO {ROLE}")
    server.psql(DATABASE, f"ALTER SCHEMA public OWNER TO {ROLE}")
    rules = own_rules(server.port, DATABASE, ROLE) + "quotas: {server_connections: 1}\n"
    with running_proxy(server.port, rules=rules) as proxy:
        yield proxy
    server.drop_database(DATABASE)
    server.psql(sql=f"DROP ROLE {ROLE}")


@pytest.fixture
def tenant(proxy: Proxy) -> Iterator[RawClient]:
    with proxy.connect("acme_app") as client:
        yield client


BEYOND = [
    "ALTER SYSTEM SET work_mem = '1GB'",
    "CREATE DATABASE stolen",
    "CREATE ROLE intruder",
    f"ALTER ROLE {ROLE} PASSWORD 'mine'",
    "COPY (SELECT 1) TO '/tmp/stolen'",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION postgres_fdw",
    "LOAD 'auto_explain'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "CREATE TABLESPACE t LOCATION '/tmp'",
    "CREATE SUBSCRIPTION s CONNECTION 'dbname=postgres' PUBLICATION p",
]


@pytest.mark.parametrize("text", BEYOND)
def test_no_statement_reaches_beyond_the_database(tenant: RawClient, text: str) -> None:
    for exchange in (tenant.simple(text), tenant.extended(text)):
        assert [one["C"] for one in exchange.errors] == ["42501"]
    (error,) = tenant.simple(f"SELECT 1; {text}").errors
    assert error["C"] == "42501"


@pytest.mark.parametrize("text", [one for one in BEYOND if "PASSWORD" not in one])
def test_no_block_of_code_does_for_the_role_cannot(tenant: RawClient, text: str) -> None:
    (error,) = tenant.simple(f"DO $do$ BEGIN EXECUTE $x${text}$x$; END $do$").errors
    assert error["C"] in {"42501", "25001", "0A000", "58P01"}, error


def test_what_a_session_left_unseen_is_not_found_by_the_next(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as first:
        left = "DO $$ BEGIN PERFORM set_config('work_mem', '77MB', false); CREATE TEMP TABLE left_behind AS SELECT 1;"
        assert first.simple(left + " EXECUTE 'LISTEN left_channel'; PERFORM pg_advisory_lock(7); END $$").errors == []
        assert first.simple("SHOW work_mem").rows == [(b"77MB",)]  # it is the session's own
        assert first.simple("SELECT * FROM left_behind").rows == [(b"1",)]
        assert first.simple("DISCARD ALL").errors == []  # does not take everything back either
    with proxy.connect("acme_app") as second:
        assert second.simple("SHOW work_mem").rows != [(b"77MB",)]
        assert second.simple("SELECT to_regclass('left_behind')").rows == [(None,)]
        assert second.simple("SELECT * FROM pg_listening_channels()").rows == []
        assert second.simple("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").rows == [(b"0",)]


def test_a_notification_that_a_block_of_code_listens_for_is_told_under_its_name(tenant: RawClient) -> None:
    assert tenant.simple("DO $$ BEGIN EXECUTE 'LISTEN unseen'; END $$").errors == []
    told = [one.body for one in tenant.simple("NOTIFY unseen, 'x'").messages if one.tag == "A"]
    assert [one[4:] for one in told] == [b"unseen\0x\0"]


def test_what_sequences_gave_is_not_told_to_the_next_session(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as first:
        assert first.simple("CREATE TABLE IF NOT EXISTS numbered (id serial, a int)").errors == []
    with proxy.connect("acme_app") as second:
        assert second.simple("INSERT INTO numbered (a) VALUES (1)").errors == []
        with_next = second.simple("SELECT lastval()")
    assert [one["C"] for one in with_next.errors] == ["55000"]


@pytest.mark.parametrize(
    "seeding",
    [
        "SELECT setseed(0.42)",
        "SET seed = 0.42",
        "SELECT set_config('seed', '0.42', false)",
        "DO $$ BEGIN PERFORM setseed(0.42); END $$",
        "DO $$ BEGIN PERFORM setseed(0.42); RAISE 'failed'; END $$",
    ],
)
def test_a_seed_is_not_left_to_the_next_session(proxy: Proxy, seeding: str) -> None:
    found = []
    for text in (seeding, "SELECT setseed(0.42)", "SELECT 1"):
        with proxy.connect("acme_app") as client:
            assert bool(client.simple(text).errors) is ("RAISE" in text)
            assert client.simple("DISCARD ALL").errors == []
            found.append(client.simple("SELECT random() FROM generate_series(1, 99)").rows)
    assert found[0] == found[1]  # it is the session's own
    assert not set(found[1]) & set(found[2])


def test_a_session_does_not_begin_with_a_seed(proxy: Proxy) -> None:
    for begun in ({"seed": "0.42"}, {"options": "-c Seed=0.42"}):
        with proxy.connect("acme_app", **begun) as client:
            assert [one["C"] for one in client.greeting.errors] == ["42501"]


@pytest.mark.parametrize(
    "text",
    [
        "SET rls.tenant = '5'",
        "SELECT set_config('rls.tenant', '5', false)",
        "DO $$ BEGIN PERFORM set_config('rls.tenant', '5', false); END $$",
    ],
)
def test_the_name_of_a_setting_is_not_left_to_the_next_session(proxy: Proxy, text: str) -> None:
    with proxy.connect("acme_app") as client:
        assert client.simple(text).errors == []
        assert client.simple("SHOW rls.tenant").rows == [(b"5",)]
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT current_setting('rls.tenant', true)").rows == [(None,)]


def test_what_a_stored_definition_does_to_the_session_is_not_left_to_the_next(server: Cluster) -> None:
    """Each kind of definition is tests/catalog/test_introspect.py's."""
    with owned_nothing(server, "own_escapes_stored") as database:
        server.psql(
            database,
            "CREATE VIEW kept AS SELECT set_config('work_mem', '77MB', false), pg_try_advisory_lock(7);"
            "GRANT SELECT ON kept TO PUBLIC",
        )
        rules = own_rules(server.port, database, database) + "quotas: {server_connections: 1}\n"
        with running_proxy(server.port, rules=rules) as proxy:
            with proxy.connect("acme_app") as client:
                assert client.simple("SELECT * FROM kept").errors == []
                assert client.simple("SHOW work_mem").rows == [(b"77MB",)]  # it is the session's own
            with proxy.connect("acme_app") as client:
                assert client.simple("SHOW work_mem").rows != [(b"77MB",)]
                assert client.simple("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").rows == [(b"0",)]


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE pg_settings SET setting = '77MB' WHERE name = 'work_mem'",
        "WITH w AS (SELECT 1) UPDATE pg_catalog.pg_settings s SET setting = '77MB' WHERE s.name = 'work_mem'",
        "PREPARE p AS UPDATE pg_settings SET setting = '77MB' WHERE name = 'work_mem'; EXECUTE p",
        "EXPLAIN ANALYZE UPDATE pg_settings SET setting = '77MB' WHERE name = 'work_mem'",
    ],
)
def test_a_setting_that_is_changed_as_a_row_is_not_left_to_the_next_session(proxy: Proxy, text: str) -> None:
    with proxy.connect("acme_app") as client:
        assert client.simple(text).errors == []
        assert client.simple("SHOW work_mem").rows == [(b"77MB",)]  # it is the session's own
    with proxy.connect("acme_app") as client:
        assert client.simple("SHOW work_mem").rows != [(b"77MB",)]


@pytest.mark.parametrize(
    "text",
    [
        "EXPLAIN ANALYZE CREATE TEMP TABLE left_so AS SELECT 1",
        "SELECT 1 INTO TEMP left_so UNION SELECT 2",
        "PREPARE p AS SELECT 1; EXPLAIN ANALYZE CREATE TEMP TABLE left_so AS EXECUTE p",
    ],
)
def test_a_temporary_table_is_its_sessions_however_it_is_made(proxy: Proxy, text: str) -> None:
    with proxy.connect("acme_app") as client:
        assert client.simple(text).errors == []
        assert client.simple("SELECT to_regclass('left_so')").rows == [(b"left_so",)]
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT to_regclass('left_so')").rows == [(None,)]


def test_the_pinned_parameters_cannot_be_changed_by_code_either(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        gone = client.simple("DO $$ BEGIN PERFORM set_config('client_encoding', 'LATIN1', false); END $$")
        assert gone.closed or gone.errors
    with proxy.connect("acme_app") as client:
        assert client.simple("SHOW client_encoding").rows == [(b"UTF8",)]
