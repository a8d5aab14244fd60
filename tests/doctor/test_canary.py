"""The canary sees nothing through the proxy, and says so loudly where there is no proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from proxy.auth.scram import build_verifier
from proxy.doctor.canary import PROBES_A_ROUND, Canary, Target
from proxy.doctor.probes import probes
from proxy.sql.world import World
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.sql.worlds import sample_catalog, sample_policy

KEYS = "{default: 0, slug: nobody, uid: 00000000-0000-4000-8000-000000000000}"


class Recorder:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def error(self, event: str, **values: Any) -> None:
        self.lines.append((event, values))

    warning = error


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        verifier = build_verifier("nothing", b"salt of a canary", 4096)
        nobody = f'tenant: nobody\nkeys: {KEYS}\ndatabases: [shared]\nlogins: {{nobody: {{verifier: "{verifier}"}}}}\n'
        (proxy.directory / "rules" / "nobody.yaml").write_text(nobody)
        proxy.reload_whole()
        yield proxy


@pytest.fixture(scope="module")
def world(shared_server: Cluster) -> World:
    return World(sample_policy(), sample_catalog(shared_server.port))


async def test_no_probe_sees_a_row_through_the_proxy(world: World, proxy: Proxy) -> None:
    log = Recorder()
    target = Target("nobody", "shared", "127.0.0.1", proxy.port, "nobody", "nothing")
    canary = Canary(target, lambda: world, log)
    count = len(probes(world))
    for _ in range(-(-count // PROBES_A_ROUND)):
        await canary.round()
    seen = canary.statistics()
    assert log.lines == []
    assert seen.ok
    assert seen.outcomes.keys() == {"confined", "refused"}
    assert sum(seen.outcomes.values()) >= count
    assert seen.outcomes["confined"] > 3 * seen.outcomes["refused"]


async def test_a_leak_is_told_without_values_and_stays_on_record(shared_server: Cluster, world: World) -> None:
    log = Recorder()
    canary = Canary(Target("nobody", "shared", "127.0.0.1", shared_server.port, "app", ""), lambda: world, log)
    await canary.round()
    seen = canary.statistics()
    assert not seen.ok
    assert seen.outcomes["leak"] > 0
    leaks = [values for event, values in log.lines if event == "canary saw another tenant's row"]
    assert len(leaks) == seen.outcomes["leak"]
    assert all(values.keys() == {"tenant", "database", "relation", "shape", "what"} for values in leaks)
    assert "globex" not in repr(log.lines)


async def test_a_round_that_cannot_run_is_not_well(world: World, proxy: Proxy) -> None:
    log = Recorder()
    target = Target("nobody", "shared", "127.0.0.1", proxy.port, "nobody", "nothing")
    for canary in (Canary(target, lambda: None, log), Canary(replace(target, login="stranger"), lambda: world, log)):
        await canary.round()
        assert not canary.statistics().ok
        assert canary.statistics().outcomes == {}
    assert log.lines == [("canary could not connect", {"tenant": "nobody", "reason": "InvalidPasswordError"})]
