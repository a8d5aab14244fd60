"""The process: SIGHUP takes rules whole or not at all, SIGTERM drains, and its secret outlives it."""

from __future__ import annotations

import re
import stat
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample


@pytest.fixture
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


def metric(proxy: Proxy, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}/metrics", timeout=10) as answer:
        found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return float(found.group(1))


def soon(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not what() and time.monotonic() < deadline:
        time.sleep(0.01)  # a poll of another process, bounded by the deadline
    return what()


def test_bad_rules_are_refused_whole_and_the_old_ones_stay(proxy: Proxy) -> None:
    generation = metric(proxy, "partywall_rules_generation")
    bad = proxy.directory / "rules" / "bad.yaml"
    bad.write_text("tenant: mallory\nkey: 1\ncolour: red\n")
    proxy.reload()
    assert soon(lambda: "rules refused" in proxy.log)
    assert metric(proxy, "partywall_rules_generation") == generation
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
    bad.unlink()
    proxy.reload()
    assert soon(lambda: metric(proxy, "partywall_rules_generation") == generation + 1)


def test_an_open_session_keeps_nothing_that_new_rules_took_away(proxy: Proxy) -> None:
    sample = proxy.directory / "rules" / "sample.yaml"
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM products").errors == []
        sample.write_text(
            sample.read_text().replace("products:        {shared: read}", "products:        {hidden: true}")
        )
        generation = metric(proxy, "partywall_rules_generation")
        proxy.reload()
        assert soon(lambda: metric(proxy, "partywall_rules_generation") > generation)
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


def test_the_secret_is_the_owners_alone_and_is_kept(proxy: Proxy) -> None:
    path = proxy.directory / "state" / "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32
    assert [one.name for one in path.parent.iterdir()] == ["secret"]
