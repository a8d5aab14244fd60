"""A canary tenant is attacked by the running proxy itself, with a login that no rule file has."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.doctor.canaries import Canaries
from proxy.tenancy.load import load
from tests.doctor.test_canary import KEYS, Recorder
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rules import write_sample_rules
from tests.kit.sample import load_sample

CANARY = f"tenant: canary\ncanary: true\nkeys: {KEYS}\ndatabases: [shared]\n"


def metrics(proxy: Proxy) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def soon(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not what() and time.monotonic() < deadline:
        time.sleep(0.05)  # a poll of another process, bounded by the deadline
    return what()


def test_the_running_proxy_attacks_itself_and_is_well(postgres15: Cluster) -> None:
    with running_proxy(load_sample(postgres15).port, CANARY_INTERVAL="0.05") as proxy:
        assert "partywall_canary_ok{" not in metrics(proxy)
        (proxy.directory / "rules" / "canary.yaml").write_text(CANARY)
        proxy.reload_whole()
        labels = 'database="shared",tenant="canary"'
        assert soon(lambda: f"partywall_canary_ok{{{labels}}} 1.0" in metrics(proxy))
        confined = r'partywall_canary_attacks_total\{database="shared",outcome="confined",tenant="canary"\} (\d+)'
        assert soon(lambda: int((re.findall(confined, metrics(proxy)) or ["0"])[0]) > 60)
        assert 'outcome="leak"' not in metrics(proxy)
        (proxy.directory / "rules" / "canary.yaml").unlink()
        proxy.reload_whole()
        assert "partywall_canary_ok{" not in metrics(proxy)


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rules")
    write_sample_rules(folder, 5432, "shared")
    (folder / "canary.yaml").write_text(CANARY)
    return folder


def test_every_rule_book_has_its_own_password(directory: Path) -> None:
    canaries = Canaries(60, lambda grant: None, Recorder())
    first, second = (canaries.admitted(load(directory, {}, generation)) for generation in (1, 2))
    one, other = (book.logins["partywall_canary_canary"] for book in (first, second))
    assert one.tenant == other.tenant == "canary"
    assert one.verifier != other.verifier
    assert canaries.statistics() == ()
