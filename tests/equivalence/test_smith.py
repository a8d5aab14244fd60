"""sqlsmith at the proxy, for a moment; `python -m tests.equivalence.smith` goes on for longer."""

from __future__ import annotations

import pytest

from tests.equivalence.smith import CANARY, DATABASE, Watch, at_proxy, load_smith, program, smith
from tests.kit.postgres import Cluster
from tests.kit.proxy import running_proxy


def test_sqlsmith_sees_no_canary_and_finds_no_bug(
    postgres15: Cluster, effort: int, capsys: pytest.CaptureFixture[str]
) -> None:
    load_smith(postgres15)
    with running_proxy(postgres15.port, DATABASE) as proxy:
        watch = smith(proxy.port, at_proxy(proxy), 1, 200 * effort, 150 * effort)
        assert "Traceback" not in proxy.log
    with capsys.disabled():
        print(f"\n{watch.report()}")
    assert (watch.leaks, watch.lost, watch.errors["XX000"]) == ([], 0, 0)
    # it leaves off after a hundred failures of one kind, so that the share of a moment is less than that of an hour
    assert watch.executed > 0.1 * watch.total


def test_a_canary_is_found_wherever_it_is_cut() -> None:
    row = b"D" + (4 + 2 + 4 + 8).to_bytes(4, "big") + b"\0\1\0\0\0\x08" + CANARY + b" 7"
    for at in range(len(row)):
        watch = Watch()
        watch.feed(row[:at])
        watch.feed(row[at:])
        assert len(watch.leaks) == 1


def test_a_machine_without_sqlsmith_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(RuntimeError, match="apt-get install sqlsmith"):
        program()
