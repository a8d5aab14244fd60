"""A crowd on few server connections, smaller and shorter than the command of the same name runs it."""

from __future__ import annotations

import pytest

from tests.chaos.crowd import gather, main


def test_a_crowd_of_every_kind_on_few_connections_meets_no_error_and_leaves_no_lease(effort: int) -> None:
    outcome = gather(clients=120, connections=6, seconds=5 * effort)
    assert outcome.problems == ()
    assert outcome.transactions > 120


def test_the_command_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--connections" in capsys.readouterr().out
