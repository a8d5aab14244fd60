"""The verifier over the sample set, as tenant 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.plan import PlanContext
from proxy.sql.verify import verify
from proxy.sql.verify.relations import Relations
from proxy.sql.world import World
from tests.sql.worlds import keys_of

Doubt = Callable[..., str]


@pytest.fixture(scope="session")
def context(world: World) -> PlanContext:
    return PlanContext(world.policy, world.catalog.version, role="app")


@pytest.fixture(scope="session")
def relations(world: World) -> Relations:
    return Relations(world.policy, world.catalog)


@pytest.fixture(scope="session")
def doubt(world: World, context: PlanContext) -> Doubt:
    """What could not be proved of a text, on a server of another major if one is given; "" where all could."""

    def ask(text: str, major: int = world.catalog.major) -> str:
        try:
            verify(text, context, replace(world.catalog, server_version=major * 10000), keys_of(1))
        except FeatureNotSupported as refusal:
            return str(refusal.__cause__)
        return ""

    return ask
