"""A tenant of the TPC-H-like set goes out and comes back while all tenants write, in each mode.

The same with a gigabyte is `python -m tests.kit.roundtrip`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli import application
from tests.kit.postgres import Cluster
from tests.kit.roundtrip import MODES, round_trip

SCALE = 0.0005  # some half a megabyte of text


@pytest.mark.parametrize("mode", MODES)
def test_a_tenant_comes_back_as_it_was_and_nobody_loses_a_row(
    mode: str, postgres18: Cluster, monkeypatch: pytest.MonkeyPatch, effort: int
) -> None:
    def run(arguments: list[str], state: Path) -> tuple[int, str]:
        monkeypatch.setenv("PARTYWALL_STATE_DIRECTORY", str(state))
        done = CliRunner().invoke(application, arguments)
        return done.exit_code, done.stderr

    trip = round_trip(postgres18, mode, SCALE * effort, run)
    assert trip.problems == []
    assert all(trip.written.values())
