"""How commands end when something is wrong: the reasons, status 1, no traceback; a bug still shows itself."""

from __future__ import annotations

import pytest
import typer

from proxy.cli.report import reported
from proxy.errors import ConfigurationError
from proxy.settings import SettingsRefused


@pytest.mark.parametrize(
    "error",
    [ConfigurationError(["first", "second"]), SettingsRefused(["first", "second"])],
    ids=lambda error: type(error).__name__,
)
def test_every_reason_is_a_line_on_standard_error(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, reported():
        raise error
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "first\nsecond\n"


def test_a_port_that_is_taken_is_a_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), reported():
        raise OSError("address already in use")
    assert capsys.readouterr().err == "address already in use\n"


def test_a_bug_is_not_waved_through() -> None:
    with pytest.raises(ZeroDivisionError), reported():
        raise ZeroDivisionError
