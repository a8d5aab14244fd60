"""What every test may ask for: real servers of both majors, the sample set on them, and how long to look.

Servers start when the first test asks and end with the session; under pytest-xdist each worker has its own.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.kit.order import SlowestFirst
from tests.kit.postgres import Cluster, lasting
from tests.kit.sample import load_sample, pristine
from tests.kit.turns import VARIABLE, at_their_turn, in_turn, turn_of

EFFORT = max(1, int(os.environ.get("PARTYWALL_TEST_EFFORT", "1")))
# Which servers `server` is in turn. Others than 15 and 18 are brought by `python -m tests.kit.majors`.
MAJORS = [int(major) for major in os.environ.get("PARTYWALL_TEST_MAJORS", "15,18").split(",")]
TURN = turn_of(len(MAJORS))

# The same examples every time, so that a red run is a reason and not a draw; `make test-long` draws afresh.
settings.register_profile("quick", max_examples=60, deadline=None, derandomize=True, database=None)
settings.register_profile(
    "long", max_examples=60 * EFFORT, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("quick" if EFFORT == 1 else "long")


def pytest_report_header() -> str:
    """How to have the same run again, as far as it was drawn here."""
    return f"servers in turn: {VARIABLE}={TURN}"


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector: pytest.Collector) -> Generator[None, object, object]:
    """Where a server's version is not the matter, each case is at the server whose turn it is; at every one when there
    is time.
    """
    made = yield
    if EFFORT > 1 or not isinstance(made, list) or not in_turn(collector.path):
        return made
    return at_their_turn(made, _major, lambda one: str(one.name), MAJORS, TURN)


def _major(item: pytest.Function) -> int | None:
    """The server that a case is at."""
    found = item.callspec.params.get("server") if hasattr(item, "callspec") else None
    return found if isinstance(found, int) else None


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_make_scheduler() -> Generator[None, Any, Any]:
    """The slow files first."""
    made = yield
    if hasattr(made, "workqueue"):
        made.workqueue = SlowestFirst()
    return made


@pytest.fixture(scope="session")
def effort() -> int:
    """How many times longer than usual to look: 1, or what `make test-long` says. Multiply counts of seeds by it."""
    return EFFORT


@pytest.fixture(scope="session")
def postgres15() -> Iterator[Cluster]:
    """A PostgreSQL 15 that lets everybody in and holds nothing."""
    with lasting(15) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres18() -> Iterator[Cluster]:
    """A PostgreSQL 18 that lets everybody in and holds nothing."""
    with lasting(18) as cluster:
        yield cluster


@pytest.fixture(scope="session", params=MAJORS, ids=[f"pg{major}" for major in MAJORS])
def server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Each of the servers in turn."""
    if request.param in (15, 18):
        yield request.getfixturevalue(f"postgres{request.param}")
    else:
        with lasting(request.param) as cluster:
            yield cluster


@pytest.fixture(scope="session")
def shared_server(server: Cluster) -> Cluster:
    """Each server in turn, with the sample set: databases shared, private1, private2 and private3, role app.

    For tests that change nothing or roll back; one that commits asks for `pristine_shared`.
    """
    return load_sample(server)


@pytest.fixture
def pristine_shared(shared_server: Cluster) -> Iterator[str]:
    """The name of a copy of `shared` on `shared_server` that is this test's alone."""
    with pristine(shared_server) as name:
        yield name
