"""Sessions of tenants with schemas of their own: the stories of row mode's sessions, told here as in a database that
holds the schema alone, while other sessions of the tenant use the same server connections in between.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.equivalence.test_errors import MISTAKES
from tests.equivalence.test_pooled import SETTINGS as POOLED
from tests.equivalence.test_sessions import CURSORS, PREPARED, SETTINGS, STRINGS, TABLES
from tests.equivalence.test_transaction_pooling import FEATURES, pinned, say
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.schemas import REFERENCE, load_schemas, provisioned, schema_rules

# What is refused here, for nobody knows the columns of such a table; and what is asked in its place.
INSTEAD = "CREATE TEMP TABLE tmp_run AS SELECT id, secret FROM orders WHERE id < 4"
RUN = {"CREATE TEMP TABLE tmp_run AS EXECUTE p (4)": INSTEAD}
HERE = "SELECT current_schema(), current_schemas(false)"
# What the path of a session's names is, and for how long.
PATHS = {
    "set local": (
        "BEGIN",
        "SET LOCAL search_path = reference",
        HERE,
        "SELECT count(*) FROM countries",
        "SAVEPOINT s",
        "SELECT count(*) FROM orders",
        "ROLLBACK TO s",
        "SELECT count(*) FROM acme.orders",
        "SET LOCAL search_path = nowhere, acme",
        HERE,
        "SELECT count(*) FROM orders",
        "ROLLBACK TO s",
        HERE,
        "COMMIT",
        HERE,
        "SELECT count(*) FROM orders",
        "SELECT count(*) FROM countries",
    ),
    "set local and set": (
        "BEGIN",
        "SET search_path = acme",
        "SET LOCAL search_path = reference",
        HERE,
        "COMMIT",
        HERE,
        "BEGIN",
        "SET LOCAL search_path = reference",
        "SET search_path = reference, acme",
        HERE,
        "COMMIT",
        HERE,
        "BEGIN",
        "SET LOCAL search_path TO DEFAULT",
        HERE,
        "ROLLBACK",
        HERE,
        "RESET search_path",
        HERE,
    ),
    "outside of a block": ("SET LOCAL search_path = reference", HERE, "SET LOCAL search_path = acme; SELECT 1", HERE),
    "in one text": (
        "BEGIN; SET LOCAL search_path = reference; SELECT count(*) FROM countries",
        HERE,
        "COMMIT",
        HERE,
        "SET search_path = reference; SELECT count(*) FROM countries; SET search_path = acme; SELECT 1 FROM orders",
        "RESET search_path",
    ),
    "what is made stands on it": (
        "BEGIN",
        "CREATE TABLE made (a int)",
        "SET LOCAL search_path = nowhere",
        "SAVEPOINT s",
        "CREATE TABLE other (a int)",
        "ROLLBACK TO s",
        "INSERT INTO acme.made VALUES (1)",
        "ROLLBACK",
        HERE,
    ),
    "prepared": (
        "PREPARE p AS SELECT count(*) FROM countries",
        "BEGIN",
        "SET LOCAL search_path = acme",
        "EXECUTE p",
        "COMMIT",
        "EXECUTE p",
        "DEALLOCATE p",
    ),
    "functions": (
        "CREATE FUNCTION counted() RETURNS bigint LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN (SELECT count(*) FROM countries); END $$",
        "SELECT counted()",
        "BEGIN",
        "SET LOCAL search_path = acme",
        "SELECT counted()",
        "ROLLBACK",
        "ALTER FUNCTION counted() SET search_path = reference",
        "SET search_path = acme",
        "SELECT counted()",
        HERE,
        "RESET search_path",
        "DROP FUNCTION counted()",
    ),
}
STORIES = {
    **{f"prepared: {name}": story for name, story in PREPARED.items()},
    **{f"cursor: {name}": story for name, story in CURSORS.items()},
    **{f"table: {name}": tuple(RUN.get(one, one) for one in story) for name, story in TABLES.items()},
    **{f"setting: {name}": story for name, story in SETTINGS.items()},
    **{f"pooled setting: {name}": story for name, story in POOLED.items()},
    **{
        f"string: {name}": (story, "EXECUTE p", "EXECUTE q", "DEALLOCATE ALL", story) for name, story in STRINGS.items()
    },
    **{f"pooled: {one.name}": one.statements for one in FEATURES if one.name != "LOAD statement"},
    **{f"path: {name}": story for name, story in PATHS.items()},
    "mistakes": MISTAKES,
}


SIMPLE = ("string", "path: prepared")  # a refusal comes at Parse or Bind, and not at Execute
# With functions each session keeps its server connection; without any they share them.
WITHOUT = """
DO $$ DECLARE one regprocedure; BEGIN
  FOR one IN SELECT oid FROM pg_proc WHERE pronamespace::regnamespace::text IN ('acme', 'globex', 'initech') LOOP
    EXECUTE format('DROP ROUTINE IF EXISTS %s CASCADE', one);
  END LOOP;
END $$
"""


@pytest.fixture(scope="module", params=["functions", "no functions"])
def beside(server: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    load_schemas(server)
    for database, template in (("beside_sessions", "template_beside"), ("apart_sessions", "template_apart1")):
        server.create_database(database, template)
        if request.param == "no functions":
            server.psql(database, WITHOUT)
    yield server
    server.drop_database("beside_sessions")
    server.drop_database("apart_sessions")


@pytest.fixture(scope="module")
def proxy(beside: Cluster) -> Iterator[Proxy]:
    with running_proxy(beside.port, rules=schema_rules(beside.port, "beside_sessions")) as proxy:
        yield proxy


def private(server: Cluster) -> RawClient:
    path = r"-c search_path=acme,\ reference"
    return RawClient("127.0.0.1", server.port, "acme_rw", "apart_sessions", options=path)


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_every_story_is_told_as_in_a_database_of_that_schema_alone(
    beside: Cluster, proxy: Proxy, protocol: str
) -> None:
    wrong = {}
    for name, story in STORIES.items():
        with private(beside) as direct, proxy.connect("acme_app") as client, proxy.connect("acme_app") as other:
            for number, one in enumerate(story):
                how = "simple" if ";" in one or name.startswith(SIMPLE) else protocol
                other.simple(f"SET datestyle = '{('iso, mdy', 'german')[number % 2]}'; SELECT 1")
                expected, seen = say(direct, one, how), say(client, one, how)
                if seen != expected:
                    wrong[name, one] = (expected, seen)
    assert wrong == {}


SHARED = "quotas: {server_connections: 1}\nlogins:\n"


@pytest.fixture
def single(server: Cluster) -> Iterator[Proxy]:
    """Two tenants without functions, each of one server connection."""
    server.create_database("single")
    server.psql("single", REFERENCE)
    provisioned(server, "single", ("acme", "globex"))
    for schema in ("acme", "globex"):
        server.psql(
            "single", f"SET ROLE {schema}_rw; CREATE TABLE {schema}.notes AS SELECT 1 AS id, '{schema}' AS body"
        )
    rules = schema_rules(server.port, "single", tenants=("acme", "globex")).replace("logins:\n", SHARED)
    with running_proxy(server.port, rules=rules) as proxy:
        yield proxy
    server.drop_database("single")


def test_what_keeps_a_connection_in_row_mode_keeps_it_here_and_nothing_else(single: Proxy) -> None:
    for feature in FEATURES:
        if "orders" in " ".join(feature.statements) or feature.name == "LOAD statement":
            continue
        with single.connect("acme_app") as client:
            for one in feature.statements[: feature.until]:
                assert say(client, one, "simple")[-1][0] == "Z"
            assert pinned(single) == ({feature.pins: 1} if feature.pins else {}), feature.name


def test_a_path_of_the_transaction_meets_no_other_session(single: Proxy) -> None:
    """On the only server connection, before and after COMMIT, ROLLBACK and an error."""
    with single.connect("acme_app") as one, single.connect("acme_app") as other:
        other.simple("SET search_path = acme")
        for end in ("COMMIT", "ROLLBACK", "SELECT 1 / 0; COMMIT"):
            assert one.simple("BEGIN; SET LOCAL search_path = reference").errors == []
            assert one.simple("SELECT count(*) FROM countries").rows == [(b"2",)]
            assert one.simple("SELECT count(*) FROM notes").errors[0]["C"] == "42P01"
            one.simple("ROLLBACK")
            one.simple("BEGIN; SET LOCAL search_path = reference")
            one.simple(end)
            one.simple("ROLLBACK")
            assert other.simple(HERE).rows == [(b"acme", b"{acme}")]
            assert one.simple(HERE).rows == [(b"acme", b"{acme,reference}")]
            assert other.simple("SELECT body FROM notes").rows == [(b"acme",)]


def test_names_behind_a_path_that_was_taken_back_in_the_same_text_are_refused(single: Proxy) -> None:
    text = "BEGIN; SET LOCAL search_path = reference; COMMIT; SELECT * FROM notes"
    with single.connect("acme_app") as client:
        assert client.simple(text).errors[0]["C"] == "0A000"
        assert client.simple("SELECT body FROM notes").rows == [(b"acme",)]


@pytest.mark.parametrize("maker", ["same session", "another session"])
def test_a_table_that_was_made_anew_gives_its_parameters_new_types(single: Proxy, maker: str) -> None:
    with single.connect("acme_app") as user, single.connect("acme_app") as another:
        owner = user if maker == "same session" else another
        for kind, value in (("int", b"7"), ("interval", b"7 days"), ("text", b"seven")):
            assert owner.simple(f"CREATE TABLE made (v {kind})").errors == []
            assert user.extended("INSERT INTO made VALUES ($1)", [value]).tags == ["INSERT 0 1"]
            assert owner.extended("SELECT count(*) FROM made WHERE v::text = $1", [value]).rows == [(b"1",)]
            assert owner.simple("DROP TABLE made").errors == []


def test_a_prepared_statement_survives_ddl_of_another_session_and_of_its_own(single: Proxy) -> None:
    with single.connect("acme_app") as client, single.connect("acme_app") as other:
        for one in (client, other):
            assert one.simple("PREPARE q AS SELECT * FROM notes").errors == []
            assert one.simple("EXECUTE q").rows == [(b"1", b"acme")]
        for number, maker in enumerate((other, client)):
            assert maker.simple(f"ALTER TABLE notes ADD COLUMN more{number} int DEFAULT 7").errors == []
            for one in (client, other):
                exchange = one.simple("EXECUTE q")
                assert exchange.errors == []
                assert exchange.status == "I"
                assert exchange.rows[0][:2] == (b"1", b"acme")
