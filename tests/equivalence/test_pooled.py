"""A session's settings over pooled connections: every message is what a connection of one's own to a private database
would be told, also ParameterStatus, while other sessions of the tenant use the same server connections in between.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.equivalence.compare import Seen, observe
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient

STARTUP = {"application_name": "mine", "TimeZone": "Europe/Berlin", "options": "-c datestyle=sql,dmy -c work_mem=5MB"}
SHOWN = "SELECT current_setting('timezone'), current_setting('datestyle'), current_setting('work_mem')"

SETTINGS = {
    "set and reset": (
        "SET timezone = 'Asia/Tokyo'",
        SHOWN,
        "SET work_mem = '6MB'",
        SHOWN,
        "RESET timezone",
        SHOWN,
        "SET work_mem TO DEFAULT",
        SHOWN,
        "SET datestyle = iso; RESET datestyle; SHOW datestyle",
    ),
    "reset all": (
        "SET timezone = 'Asia/Tokyo'",
        "SET work_mem = '6MB'",
        "RESET ALL",
        SHOWN,
        "RESET ALL",
        "SET timezone = 'Asia/Tokyo'; RESET ALL; SHOW timezone",
        "SET timezone = 'Asia/Tokyo'",
        "RESET ALL; SELECT 1",
        SHOWN,
    ),
    "reset all in a transaction": (
        "BEGIN",
        "SET LOCAL work_mem = '7MB'",
        "SET timezone = 'Asia/Tokyo'",
        "RESET ALL",
        SHOWN,
        "ROLLBACK",
        SHOWN,
        "SET timezone = 'Asia/Tokyo'",
        "BEGIN",
        "RESET ALL",
        "SAVEPOINT s",
        "SET timezone = 'Asia/Seoul'",
        "ROLLBACK TO s",
        SHOWN,
        "COMMIT",
        SHOWN,
    ),
    "savepoints": (
        "BEGIN",
        "SET timezone = 'Asia/Tokyo'",
        "SAVEPOINT a",
        "SET timezone = 'Asia/Seoul'",
        "SET LOCAL datestyle = 'iso'",
        "SAVEPOINT b",
        "RESET timezone",
        "ROLLBACK TO b",
        SHOWN,
        "RELEASE a",
        SHOWN,
        "SELECT 1 / 0",
        SHOWN,
        "ROLLBACK TO a",
        "ROLLBACK",
        SHOWN,
        "BEGIN",
        "SET timezone = 'Asia/Tokyo'",
        "SELECT 1 / 0",
        "COMMIT",
        SHOWN,
        "SET timezone = 'Asia/Tokyo'; SELECT 1 / 0",
        SHOWN,
    ),
    "discard all": (
        "SET timezone = 'Asia/Tokyo'",
        "PREPARE p AS SELECT 1",
        "DISCARD ALL",
        SHOWN,
        "EXECUTE p",
        "SET timezone = 'Asia/Tokyo'",
        "CREATE TEMP TABLE tmp_x AS SELECT 1 AS a",
        "SELECT pg_advisory_lock(5)",
        "PREPARE p AS SELECT 1",
        "BEGIN",
        "DISCARD ALL",
        "ROLLBACK",
        "DISCARD ALL",
        SHOWN,
        "EXECUTE p",
        "SELECT a FROM tmp_x",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DISCARD ALL",
    ),
}


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        yield proxy


def told(client: RawClient, statements: tuple[str, ...], protocol: str, between: RawClient | None) -> list[list[Seen]]:
    """What each statement was answered. `between` asks something before each: another setting, another connection."""
    seen = []
    for number, one in enumerate(statements):
        if between is not None:
            between.simple(f"SET timezone = '{('UTC', 'Asia/Tokyo')[number % 2]}'")
        ask = client.simple if protocol == "simple" or ";" in one else client.extended
        seen.append(observe(ask(one), ordered=True))
    return seen


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_the_sessions_own_to_the_last_message(
    shared_server: Cluster, proxy: Proxy, name: str, protocol: str
) -> None:
    statements = SETTINGS[name]
    with (
        RawClient("127.0.0.1", shared_server.port, "app", "private1", **STARTUP) as direct,
        proxy.connect("acme_app", **STARTUP) as client,
        proxy.connect("acme_app", TimeZone="Asia/Seoul") as other,
    ):
        assert client.parameters["TimeZone"] == direct.parameters["TimeZone"]
        expected = told(direct, statements, protocol, None)
        seen = told(client, statements, protocol, other)
        assert client.parameters["TimeZone"] == direct.parameters["TimeZone"] == "Europe/Berlin"
    assert list(zip(statements, seen, strict=True)) == list(zip(statements, expected, strict=True))


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_a_lock_is_free_when_discard_all_was_answered(proxy: Proxy, protocol: str) -> None:
    with proxy.connect("acme_app", TimeZone="Asia/Seoul") as client, proxy.connect("acme_app") as other:
        ask = client.simple if protocol == "simple" else client.extended
        for _ in range(20):
            ask("SELECT pg_advisory_lock(4711)")
            assert other.simple("SELECT pg_try_advisory_xact_lock(4711)").rows == [(b"f",)]
            assert ask("DISCARD ALL").tags == ["DISCARD ALL"]
            assert other.simple("SELECT pg_try_advisory_xact_lock(4711)").rows == [(b"t",)]
