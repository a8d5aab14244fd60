"""Commands as people run them, in this process, without this process's settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli import application
from proxy.fleet.control import Resume
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rules import write_sample_rules
from tests.kit.sample import load_sample

Run = Callable[..., Result]
TOKEN = "a token of sixteen and more"


@pytest.fixture(scope="session")
def run() -> Run:
    def call(*arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(application, list(arguments), input=typed)

    return call


@pytest.fixture
def sample(postgres15: Cluster, tmp_path: Path) -> str:
    """A folder of rules for the sample set on a real server."""
    write_sample_rules(tmp_path, load_sample(postgres15).port, "shared")
    return str(tmp_path)


@pytest.fixture(scope="session")
def asked_proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port, ADMIN_TOKEN=TOKEN) as proxy:
        yield proxy


@pytest.fixture
def proxy(asked_proxy: Proxy) -> Iterator[Proxy]:
    """One that commands ask; nothing stays paused."""
    yield asked_proxy
    asked_proxy.ask(Resume())
