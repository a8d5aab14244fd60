"""What the server asks of the house is what the house gives: the real things fit the protocols."""

from __future__ import annotations

import inspect
from dataclasses import fields

from proxy.fleet.database import Database
from proxy.pool.connection import ServerConnection
from proxy.pool.pools import Pools
from proxy.server import services
from proxy.tenancy.rulebook import RuleBook
from tests.kit.builders import ForwardingPlanner, OneTenant


def missing(real: type, protocol: type) -> list[str]:
    """What a protocol asks for and a class lacks, names and parameters alike."""
    found = []
    for name, wanted in vars(protocol).items():
        if name.startswith("_"):
            continue
        have = getattr(real, name, None) or (name in getattr(real, "__annotations__", {}) or None)
        if have is None:
            found.append(name)
        elif inspect.isfunction(wanted) and inspect.isfunction(have):
            asked, given = inspect.signature(wanted).parameters, inspect.signature(have).parameters
            found += [f"{name}({one})" for one in asked if one not in given]
            if inspect.iscoroutinefunction(wanted) is not inspect.iscoroutinefunction(have):
                found.append(f"async {name}")
    return found


def test_the_real_parts_and_the_tests_parts_fit_the_same_protocols() -> None:
    for protocol, real, fake in (
        (services.Rules, RuleBook, OneTenant),
        (services.Planning, Database, ForwardingPlanner),
        (services.PoolsPort, Pools, Pools),
        (services.Connection, ServerConnection, ServerConnection),
    ):
        assert missing(real, protocol) == [], real
        assert missing(fake, protocol) == [], fake
    assert missing(OneTenant, services.PoolsPort) != []  # the question can be answered with no


def test_every_limit_of_the_process_holds_without_being_asked_for() -> None:
    options = services.Options()
    for one in fields(options):
        if one.name not in {"host", "worker", "proxy_protocol_from"}:
            assert getattr(options, one.name) > 0, one.name
