"""application_name: the client sees its own wherever it looks, and who looks at the server sees whose it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.equivalence.compare import Seen, observe
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient

SEEN = (
    "SHOW application_name",
    "SELECT current_setting('application_name'), current_setting('Application_Name', true) AS x",
    "SELECT current_setting('timezone') IS NOT NULL, current_setting('work_mem') <> ''",
    "SELECT * FROM current_setting('application_name')",
    "SELECT current_setting('application_name'::text), current_setting('APPLICATION_NAME'::text::varchar)",
    "SELECT current_setting(name::text), current_setting(name) FROM pg_settings WHERE name = 'application_name'",
    "SELECT CASE WHEN false THEN 'x' ELSE current_setting('application_name') END",
    "SELECT setting FROM pg_settings WHERE name = 'application_name'",
    "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()",
)
STORIES = {
    "own": SEEN,
    "set": (
        "SET application_name = 'other''s'", *SEEN, "SET application_name TO other", *SEEN, "RESET application_name",
        *SEEN,
    ),
    "local": (
        "BEGIN", "SET LOCAL application_name = 'local'", *SEEN, "SAVEPOINT s", "SET application_name = 'inner'", *SEEN,
        "ROLLBACK TO s", *SEEN, "COMMIT", *SEEN,
    ),
    "odd": (
        "SET application_name = ''", *SEEN, "SET application_name = 'ä é'", *SEEN, "SET application_name = 42", *SEEN,
        "SET application_name = 'a', 'b'", *SEEN, "SET application_name = 'x'; SHOW application_name",
    ),
    "gone": (
        "SET application_name = 'other'", "RESET ALL", *SEEN, "SET application_name = 'other'", "DISCARD ALL", *SEEN,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        yield proxy


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("started", ["", "my app", "größe"])
def test_the_client_sees_its_own(shared_server: Cluster, proxy: Proxy, name: str, protocol: str, started: str) -> None:
    asked = {"application_name": started} if started else {}

    def told(client: RawClient, other: RawClient | None) -> list[list[Seen]]:
        seen = []
        for text in STORIES[name]:
            if other is not None:
                other.simple("SELECT 1")
            ask = client.simple if protocol == "simple" or ";" in text else client.extended
            seen.append(observe(ask(text), ordered=True))
        return seen

    with (
        RawClient("127.0.0.1", shared_server.port, "app", "private1", **asked) as direct,
        proxy.connect("acme_app", **asked) as client,
        proxy.connect("acme_ro", application_name="reader") as other,
    ):
        assert client.parameters["application_name"] == direct.parameters["application_name"]
        seen, expected = told(client, other), told(direct, None)
        assert client.parameters["application_name"] == direct.parameters["application_name"]
    assert list(zip(STORIES[name], seen, strict=True)) == list(zip(STORIES[name], expected, strict=True))


def test_who_looks_at_the_server_sees_tenant_login_and_application(shared_server: Cluster, proxy: Proxy) -> None:
    with (
        RawClient("127.0.0.1", shared_server.port, "postgres", "postgres") as server,
        proxy.connect("acme_app", application_name="shop/../acme") as one,
        proxy.connect("globex_app") as two,
        proxy.connect("acme_ro", application_name="x" * 70) as three,
    ):
        for client in (one, two, three):
            client.simple("BEGIN")
            client.simple("SELECT 1")
        rows = server.simple(
            "SELECT application_name FROM pg_stat_activity WHERE usename = 'app' AND state LIKE 'idle in%' ORDER BY 1"
        ).rows
        assert [name for (name,) in rows] == [
            b"acme/acme_app/shop/../acme",
            b"acme/acme_ro/" + b"x" * 50,
            b"globex/globex_app/",
        ]
        assert three.parameters["application_name"] == "x" * 50
        two.simple("ROLLBACK; SET application_name = 'acme/acme_app/shop'; BEGIN; SELECT 1")
        rows = server.simple(
            "SELECT application_name FROM pg_stat_activity"
            " WHERE application_name LIKE 'globex/%' AND state LIKE 'idle in%'"
        ).rows
        assert rows == [(b"globex/globex_app/acme/acme_app/shop",)]


@pytest.mark.parametrize(
    "statement",
    ["SELECT set_config('application_name', 'x', false)", "SELECT set_config('Application_name', $1, true)"],
)
def test_set_config_of_it_is_refused_with_the_way_out(proxy: Proxy, statement: str) -> None:
    with proxy.connect("acme_app") as client:
        (problem,) = client.extended(statement, [b"x"] if "$1" in statement else []).errors
        assert (problem["C"], problem["H"]) == ("42501", "Use SET application_name.")


@pytest.mark.parametrize(
    "text",
    ["SELECT current_setting($1)", "SELECT * FROM current_setting($1::text, true)", "SELECT current_setting($1)::name"],
)
def test_the_client_sees_its_own_where_a_parameter_names_it(shared_server: Cluster, proxy: Proxy, text: str) -> None:
    asked = {"application_name": "mine"}
    with (
        RawClient("127.0.0.1", shared_server.port, "app", "private1", **asked) as direct,
        proxy.connect("acme_app", **asked) as client,
    ):
        for name in (b"application_name", b"Application_Name", b"work_mem"):
            seen, expected = (observe(one.extended(text, (name,)), ordered=True) for one in (client, direct))
            assert seen == expected


def test_all_of_show_all_is_the_clients_own(proxy: Proxy) -> None:
    with proxy.connect("acme_app", application_name="mine") as client:
        rows = {row[0]: row[1] for row in client.simple("SHOW ALL").rows}
        assert rows[b"application_name"] == b"mine"


def test_sessions_of_one_login_and_name_share_connections_without_a_word(shared_server: Cluster, proxy: Proxy) -> None:
    """The name is set where the connection had another last, and nowhere else."""
    with (
        proxy.connect("initech_app", application_name="same") as one,
        proxy.connect("initech_app", application_name="same") as two,
    ):
        one.simple("SELECT 1")
        before = changed(shared_server)
        for client in (one, two) * 5:
            assert client.simple("SELECT 1").rows == [(b"1",)]
        assert changed(shared_server) == before


def changed(server: Cluster) -> str:
    """When initech's connection had its last transaction that set something: SET makes one of its own."""
    return server.psql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SET%application_name%'")
