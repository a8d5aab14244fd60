"""A canary tenant is attacked by the running proxy itself, with a login that no rule file has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.doctor.canaries import Canaries
from proxy.tenancy.load import load
from tests.doctor.test_canary import KEYS, Recorder
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import running_proxy
from tests.kit.rules import write_sample_rules
from tests.kit.sample import load_sample

CANARY = f"tenant: canary\ncanary: true\nkeys: {KEYS}\ndatabases: [shared]\n"


def test_the_running_proxy_attacks_itself_and_is_well(postgres15: Cluster) -> None:
    with running_proxy(load_sample(postgres15).port, CANARY_INTERVAL="0.05") as proxy:
        assert "partywall_canary_ok{" not in proxy.metrics()
        (proxy.directory / "rules" / "canary.yaml").write_text(CANARY)
        proxy.reload_whole()
        labels = 'database="shared",tenant="canary"'
        assert eventually(lambda: f"partywall_canary_ok{{{labels}}} 1.0" in proxy.metrics(), 60)
        confined = r'partywall_canary_attacks_total\{database="shared",outcome="confined",tenant="canary"\} (\d+)'
        assert eventually(lambda: int((re.findall(confined, proxy.metrics()) or ["0"])[0]) > 60, 60)
        assert 'outcome="leak"' not in proxy.metrics()
        (proxy.directory / "rules" / "canary.yaml").unlink()
        proxy.reload_whole()
        assert "partywall_canary_ok{" not in proxy.metrics()


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
