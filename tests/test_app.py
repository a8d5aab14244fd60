"""The process: SIGHUP takes rules whole or not at all, SIGTERM drains, and its secret outlives it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.app import _rules
from proxy.errors import ConfigurationError
from proxy.settings import load_settings
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample

SASL = struct.Struct("!ci")


@pytest.fixture
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


def metric(proxy: Proxy, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", proxy.metrics(), re.MULTILINE)
    assert found is not None
    return float(found.group(1))


def test_bad_rules_are_refused_whole_and_the_old_ones_stay(proxy: Proxy) -> None:
    generation = metric(proxy, "partywall_rules_generation")
    bad = proxy.directory / "rules" / "bad.yaml"
    bad.write_text("tenant: mallory\nkey: 1\ncolour: red\n")
    proxy.reload()
    assert eventually(lambda: "rules refused" in proxy.log, 20)
    assert metric(proxy, "partywall_rules_generation") == generation
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
    bad.unlink()
    proxy.reload()
    assert eventually(lambda: metric(proxy, "partywall_rules_generation") == generation + 1, 20)


def test_an_open_session_keeps_nothing_that_new_rules_took_away(proxy: Proxy) -> None:
    sample = proxy.directory / "rules" / "sample.yaml"
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM products").errors == []
        sample.write_text(
            sample.read_text().replace("products:        {shared: read}", "products:        {hidden: true}")
        )
        generation = metric(proxy, "partywall_rules_generation")
        proxy.reload()
        assert eventually(lambda: metric(proxy, "partywall_rules_generation") > generation, 20)
        (error,) = client.simple("SELECT count(*) FROM products").errors
        assert error["C"] == "42P01"
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]


def test_on_sigterm_a_transaction_may_end_and_idle_sessions_are_told(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as busy, proxy.connect("globex_app") as idle:
        busy.simple("BEGIN")
        proxy.process.terminate()
        said = idle.receive()
        assert said is not None
        assert b"57P01" in said.body
        assert busy.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
        assert busy.simple("COMMIT").tags == ["COMMIT"]
        assert proxy.process.wait(20) == 0


def test_every_refusal_is_one_line_of_the_audit_trail_and_holds_no_literal(proxy: Proxy) -> None:
    texts = {
        "SELECT n FROM leaky_stats WHERE n = 4711 AND x = 's3cret'": "SELECT n FROM leaky_stats WHERE n = ? AND x = ?",
        "SELECT /* 4711 */ pg_read_file($$s3cret$$)": "SELECT pg_read_file(?)",
        "SELEC 's3cret' 4711": None,
    }
    with proxy.connect("acme_app", application_name="shop") as client:
        for text in texts:
            assert client.simple(text).errors
            assert client.extended(text).errors
    assert eventually(lambda: proxy.log.count('"part": "audit"') == 2 * len(texts), 20)  # the client is answered first
    lines = [json.loads(line) for line in proxy.log.splitlines() if '"part": "audit"' in line]
    for (text, shape), pair in zip(texts.items(), zip(lines[::2], lines[1::2], strict=True), strict=True):
        for line in pair:
            if shape is None:
                assert (line["length"], line["sha256"]) == (len(text), hashlib.sha256(text.encode()).hexdigest())
            else:
                assert line["shape"] == shape
            assert (line["tenant"], line["login"], line["database"]) == ("acme", "acme_app", "shared")
            assert line["application_name"] == "shop"
            assert line["sqlstate"] in {"42P01", "42501", "42601"}
            assert line["rules"]
            assert line["generation"] == 1
    assert "s3cret" not in proxy.log
    assert "4711" not in proxy.log


def planners(proxy: Proxy) -> int:
    """Its planner processes."""
    pid = proxy.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return sum(b"proxy.fleet.worker" in Path(f"/proc/{one}/cmdline").read_bytes() for one in children)


@pytest.mark.parametrize(("timeout", "sqlstates"), [("30", []), ("0.001", ["54001"])])
def test_a_long_text_goes_to_a_planner_process_and_no_further_than_its_time(
    postgres15: Cluster, timeout: str, sqlstates: list[str]
) -> None:
    ids = ", ".join(str(number) for number in range(100))
    with (
        running_proxy(load_sample(postgres15).port, PLAN_INLINE_BYTES="200", PLAN_TIMEOUT=timeout) as proxy,
        proxy.connect("acme_app") as client,
    ):
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
        assert planners(proxy) == 0
        told = client.simple(f"SELECT DISTINCT tenant_id FROM orders WHERE id IN ({ids})")
        assert [one["C"] for one in told.errors] == sqlstates
        assert told.rows == ([] if sqlstates else [(b"1",)])
        assert planners(proxy) == (0 if sqlstates else 1)
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]


def test_deep_nesting_is_an_error_and_never_a_crash(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        for text in ("SELECT 1" + "+1" * 30_000, "SELECT " + "(" * 30_000 + "1" + ")" * 30_000):
            for told in (client.simple(text), client.extended(text)):
                (error,) = told.errors
                assert error["C"] in {"54001", "42601"}
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
    assert proxy.process.poll() is None


def test_an_unknown_login_is_challenged_with_the_same_salt_after_a_restart(postgres15: Cluster, tmp_path: Path) -> None:
    port = load_sample(postgres15).port
    salts = []
    for _ in range(2):
        with running_proxy(port, SECRET="the same secret of both") as proxy:
            salts.append([salt_of(proxy, name) for name in ("nobody", "nobody", "somebody", "acme_app")])
    assert salts[0] == salts[1]
    nobody, again, somebody, known = salts[0]
    assert nobody == again != somebody
    assert len(base64.b64decode(nobody)) == len(base64.b64decode(known)) == 16


def salt_of(proxy: Proxy, user: str) -> str:
    """What the challenge of SCRAM holds for this name; the log-in ends there."""
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as raw:
        body = f"user\0{user}\0database\0{proxy.database}\0\0".encode()
        raw.sendall(struct.pack("!ii", len(body) + 8, 196608) + body)
        first = b"n,,n=,r=0123456789abcdefghij"
        said = SASL.pack(b"p", len(first) + 22) + b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first
        answer = b""
        while b",s=" not in answer or not answer.endswith(b"i=4096"):
            answer += raw.recv(4096)
            if answer.endswith(b"\0\0") and said:
                raw.sendall(said)
                said = b""
    return answer.split(b",s=")[1].split(b",")[0].decode()


def test_the_secret_is_the_owners_alone_and_is_kept(proxy: Proxy) -> None:
    path = proxy.directory / "state" / "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32
    assert [one.name for one in path.parent.iterdir()] == ["secret"]


def test_a_certificate_that_nobody_could_show_is_refused_before_it_is_served(tmp_path: Path) -> None:
    text = (
        "database: shop\nserver: postgresql://a@b/c\ntenant_column: t\n---\ntenant: acme\nkey: 1\ndatabases: [shop]\n"
    )
    (tmp_path / "rules.yaml").write_text(text + "logins: {batch: {certificate: {dns: a}}}\n", encoding="utf-8")
    given = {"rules": tmp_path}
    with pytest.raises(ConfigurationError, match="tls_client_ca is not set, and the login batch has a certificate"):
        _rules(load_settings(None, given), {}, 1)
    more = {"tls_certificate": "a", "tls_key": "b", "tls_client_ca": "c"}
    assert _rules(load_settings(None, given | more), {}, 1).logins.keys() == {"batch"}
