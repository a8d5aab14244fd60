"""Many tenants on few server connections, fewer and shorter than the command of the same name runs it."""

from __future__ import annotations

import pytest

from tests.chaos.tenants import gather, main


@pytest.mark.parametrize("sharing", ["reset", "never"])
def test_each_of_many_tenants_is_served_with_its_own_rows_and_no_ceiling_is_passed(sharing: str, effort: int) -> None:
    outcome = gather(tenants=120, active=40, connections=5, seconds=3.0 * effort, sharing=sharing)
    assert outcome.problems == []
    counts = sorted(outcome.served.values())
    assert len(counts) == 40
    assert counts[0] * 3 >= counts[-1]  # nobody had three times as much as another who asked the same


def test_the_command_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--active" in capsys.readouterr().out
