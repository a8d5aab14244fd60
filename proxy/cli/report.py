"""How commands end when something is wrong: every reason on standard error, status 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from proxy.errors import ConfigurationError
from proxy.settings import SettingsRefused


@contextmanager
def reported() -> Iterator[None]:
    """Prints what is wrong with rules or settings, or why a socket or file cannot be used, instead of a traceback."""
    try:
        yield
    except (ConfigurationError, SettingsRefused) as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
