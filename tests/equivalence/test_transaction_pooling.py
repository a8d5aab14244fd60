"""What PgBouncer documents as broken in transaction pooling works here or keeps its connection: told by whole stories,
beside a private database, while another session of the tenant uses the same server connections in between.

docs/compatibility.md has the table; a test compares. Source: PgBouncer's features page, "SQL feature map for pooling
modes".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.equivalence.compare import Seen, observe
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rules import sample_rules

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
STARTUP = {"TimeZone": "Asia/Seoul", "options": "-c work_mem=5MB"}


@dataclass(frozen=True)
class Feature:
    """A row of the map. `pins`: the reason in the metric while `statements` up to `until` have run."""

    name: str
    statements: tuple[str, ...]
    pins: str = ""
    until: int = 1


FEATURES = (
    Feature(
        "Startup parameters",
        ("SHOW timezone", "SHOW work_mem", "SET work_mem = '6MB'", "RESET work_mem", "SHOW work_mem"),
    ),
    Feature(
        "SET/RESET",
        ("SET datestyle = 'sql, dmy'", "SHOW datestyle", "SET LOCAL work_mem = '7MB'", "BEGIN",
         "SET LOCAL work_mem = '7MB'", "SHOW work_mem", "COMMIT", "SHOW work_mem", "RESET ALL", "SHOW datestyle"),
    ),
    Feature(
        "LISTEN",
        ("LISTEN pooled", "NOTIFY pooled, 'heard'", "SELECT pg_listening_channels()", "UNLISTEN *", "NOTIFY pooled",
         "SELECT pg_listening_channels()"),
    ),
    Feature("NOTIFY", ("NOTIFY pooled, 'sent'", "SELECT pg_notify('pooled', 'sent')")),
    Feature(
        "WITHOUT HOLD CURSOR",
        ("BEGIN", "DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id", "FETCH 2 FROM c", "COMMIT", "FETCH c"),
    ),
    Feature(
        "WITH HOLD CURSOR",
        ("DECLARE h CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id", "FETCH 2 FROM h", "FETCH 2 FROM h",
         "CLOSE h", "FETCH h"),
        pins="cursor", until=3,
    ),
    Feature(
        "Protocol-level prepared plans",
        ("PARSE s SELECT count(*) FROM orders WHERE id > 3", "BIND s", "BIND s", "CLOSE s", "BIND s"),
    ),
    Feature(
        "PREPARE / DEALLOCATE",
        ("PREPARE p (int) AS SELECT id FROM orders WHERE id = $1", "EXECUTE p (1)", "EXECUTE p (2)", "DEALLOCATE p",
         "EXECUTE p (1)"),
    ),
    Feature(
        "ON COMMIT DROP temp tables",
        ("BEGIN", "CREATE TEMP TABLE tmp_p (a int) ON COMMIT DROP", "INSERT INTO tmp_p VALUES (1)", "COMMIT",
         "SELECT a FROM tmp_p"),
    ),
    Feature(
        "PRESERVE/DELETE ROWS temp tables",
        ("CREATE TEMP TABLE tmp_p (a int)", "INSERT INTO tmp_p VALUES (1)", "SELECT a FROM tmp_p", "DROP TABLE tmp_p",
         "SELECT a FROM tmp_p"),
        pins="temp_table", until=3,
    ),
    Feature("LOAD statement", ("LOAD 'auto_explain'", "SELECT 1")),
    Feature(
        "Session-level advisory locks",
        ("SELECT pg_advisory_lock(8)", "SELECT pg_try_advisory_lock(8)", "SELECT pg_advisory_unlock(8)",
         "SELECT pg_advisory_unlock(8)", "SELECT pg_advisory_unlock(8)"),
        pins="advisory_lock", until=2,
    ),
    Feature(
        "DISCARD ALL",
        ("SET work_mem = '9MB'", "CREATE TEMP TABLE tmp_p (a int)", "PREPARE p AS SELECT 1", "DISCARD ALL",
         "SHOW work_mem", "SELECT a FROM tmp_p", "EXECUTE p"),
    ),
)  # fmt: skip


@pytest.fixture(scope="module", params=["transaction", "session", "lazy_begin"])
def proxy(shared_server: Cluster, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    keys = {"transaction": "", "session": "pool_mode: session\n", "lazy_begin": "lazy_begin: true\n"}
    rules = sample_rules(shared_server.port, "shared").replace(
        "isolation: row\n", "isolation: row\n" + keys[request.param], 1
    )
    with running_proxy(shared_server.port, rules=rules) as proxy:
        yield proxy


def say(client: RawClient, text: str, protocol: str) -> list[Seen]:
    """A statement, or a message of the extended protocol about a named one."""
    verb, _, rest = text.partition(" ")
    if verb not in ("PARSE", "BIND") and (verb != "CLOSE" or rest != "s"):
        return observe(client.simple(text) if protocol == "simple" else client.extended(text), ordered=True)
    name, _, query = rest.partition(" ")
    if verb == "PARSE":
        client.send("P", f"{name}\0{query}\0".encode() + b"\0\0")
    elif verb == "CLOSE":
        client.send("C", f"S{name}\0".encode())
    else:
        client.send("B", f"\0{name}\0".encode() + b"\0\0\0\0\0\0")
        client.send("E", b"\0\0\0\0\0")
    client.send("S")
    return observe(client.collect(), ordered=True)


def pinned(proxy: Proxy) -> dict[str, int]:
    """The metric, by reason, of acme's sessions."""
    found = re.findall(r'partywall_pinned_sessions\{reason="(\w+)",tenant="acme"\} ([0-9.]+)', proxy.metrics())
    return {reason: int(float(count)) for reason, count in found if float(count)}


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("feature", FEATURES, ids=lambda one: one.name.replace(" ", "_"))
def test_it_is_answered_as_on_a_connection_of_ones_own(
    shared_server: Cluster, proxy: Proxy, feature: Feature, protocol: str
) -> None:
    own = "pool_mode: session" in (proxy.directory / "rules" / "sample.yaml").read_text(encoding="utf-8")
    with (
        RawClient("127.0.0.1", shared_server.port, "app", "private1", **STARTUP) as direct,
        proxy.connect("acme_app", **STARTUP) as client,
        proxy.connect("acme_app", TimeZone="UTC") as other,
    ):
        expected = [say(direct, one, protocol) for one in feature.statements]
        seen = []
        for number, one in enumerate(feature.statements, 1):
            other.simple(f"SET datestyle = '{('iso, mdy', 'german')[number % 2]}'; SELECT 1")
            seen.append(say(client, one, protocol))
            if number == feature.until and not own:
                assert pinned(proxy) == ({feature.pins: 1} if feature.pins else {})
            elif own:
                assert pinned(proxy)["session"] in (1, 2)
        if feature.name == "LOAD statement":
            codes = [[message[2] for message in told[0] if message[0] == "E"] for told in (seen, expected)]
            assert codes == [["42501"], ["42501"]]
            seen, expected = seen[1:], expected[1:]
        assert seen == expected
    with proxy.connect("acme_app") as later:
        assert later.simple("SELECT pg_try_advisory_xact_lock(8)").rows == [(b"t",)]
        assert [one["C"] for one in later.simple("SELECT a FROM tmp_p").errors] == ["42P01"]


def test_the_page_has_a_row_for_each() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for feature in FEATURES:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {feature.name} |")]
        assert (f"pins: `{feature.pins}`" in row) is bool(feature.pins), row
