"""The operator's door: alive, ready, and what is counted."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample


@pytest.fixture(scope="module")
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


def get(proxy: Proxy, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_proxy_that_serves_is_alive_and_ready(proxy: Proxy) -> None:
    assert get(proxy, "/healthz") == (200, "ok\n")
    assert get(proxy, "/readyz") == (200, "ready\n")


def test_there_is_nothing_else_behind_the_door(proxy: Proxy) -> None:
    for path in ("/", "/docs", "/metrics/x", "/rules", "/debug"):
        assert get(proxy, path)[0] == 404


def test_a_proxy_that_drains_is_alive_and_not_ready(postgres15: Cluster) -> None:
    with running_proxy(load_sample(postgres15).port) as proxy, proxy.connect("acme_app") as client:
        client.simple("BEGIN")
        proxy.process.terminate()
        proxy.wait_refusing()  # who drains does not listen
        assert get(proxy, "/readyz") == (503, "draining\n")
        assert get(proxy, "/healthz") == (200, "ok\n")
        client.simple("COMMIT")
