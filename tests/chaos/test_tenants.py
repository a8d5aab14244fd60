"""Many tenants on few server connections, fewer and shorter than the command of the same name runs it."""

from __future__ import annotations

import pytest

from tests.chaos.tenants import gather, main


@pytest.mark.parametrize("sharing", ["reset", "never"])
def test_each_of_many_tenants_is_served_with_its_own_rows_and_no_ceiling_is_passed(sharing: str, effort: int) -> None:
    outcome = gather(tenants=120, active=40, connections=5, seconds=3.0 * effort, sharing=sharing)
    assert outcome.problems == []
    assert len(outcome.served) == 40  # each of whom was served, or it would be a problem
    assert outcome.opened if sharing == "never" else outcome.resets


def test_the_command_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--active" in capsys.readouterr().out
