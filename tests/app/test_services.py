"""What sessions are given: an audit trail without literals, and a salt for every name."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rules import sample_rules
from tests.kit.sample import load_sample

SASL = struct.Struct("!ci")


@pytest.fixture
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


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


def test_refusals_by_limits_that_no_budget_counts_are_in_the_metrics_as_well(postgres15: Cluster) -> None:
    port = load_sample(postgres15).port
    documents = sample_rules(port, "shared").split("---\n")
    limited = [one + "quotas: {result_rows: 3}\n" if "tenant: acme" in one else one for one in documents]
    with running_proxy(port, rules="---\n".join(limited)) as proxy, proxy.connect("acme_app") as client:
        for _ in range(2):
            assert [one["C"] for one in client.simple("SELECT id FROM orders").errors] == ["53400"]
        assert 'partywall_quota_refusals_total{limit="result_rows",tenant="acme"} 2.0' in proxy.metrics()
        assert 'partywall_quota_used_ratio{limit="result_rows"' not in proxy.metrics()
