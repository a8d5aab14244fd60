"""Commands as people run them, in this process, without this process's settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli import application
from tests.kit.postgres import Cluster
from tests.kit.rules import write_sample_rules
from tests.kit.sample import load_sample

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    def call(*arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(application, list(arguments), input=typed)

    return call


@pytest.fixture
def sample(postgres15: Cluster, tmp_path: Path) -> str:
    """A folder of rules for the sample set on a real server."""
    write_sample_rules(tmp_path, load_sample(postgres15).port, "shared")
    return str(tmp_path)
