"""The process: SIGTERM drains it, long texts are planned beside it, deep ones do not end it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rules import sample_rules
from tests.kit.sample import load_sample


@pytest.fixture
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


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


def test_a_schema_with_critical_findings_is_served_only_when_they_are_accepted_by_name(postgres15: Cluster) -> None:
    text = sample_rules(load_sample(postgres15).port, "shared").replace("keys.coupons, ", "")
    with (
        pytest.raises(RuntimeError, match=r"(?s)ended with status 1.*or else accept keys\.coupons: ALTER TABLE"),
        running_proxy(postgres15.port, rules=text),
    ):
        pass
