"""Traffic: each login has counters of its own, and its tenant's are their sum."""

from __future__ import annotations

from proxy.session.counters import Counters
from proxy.session.traffic import Traffic


def test_a_login_keeps_its_counters_and_shares_them_with_nobody() -> None:
    traffic = Traffic()
    one = traffic.of("acme", "app")
    assert traffic.of("acme", "app") is one
    assert traffic.of("acme", "report") is not one
    assert traffic.of("globex", "app") is not one
    assert [(tenant, login) for tenant, login, _ in traffic.every()] == [
        ("acme", "app"),
        ("acme", "report"),
        ("globex", "app"),
    ]


def test_the_connections_of_a_tenant_are_those_of_all_its_logins() -> None:
    traffic = Traffic()
    traffic.of("acme", "app").connections = 2
    traffic.of("acme", "report").connections = 3
    traffic.of("globex", "app").connections = 50
    assert [traffic.connections(name) for name in ("acme", "globex", "nobody")] == [5, 50, 0]


def _used(factor: int) -> Counters:
    counters = Counters()
    for number, name in enumerate(counters.__slots__, 1):
        value = getattr(counters, name)
        if isinstance(value, dict):
            value.update(dict.fromkeys([*value, "one"], factor * number))
        elif isinstance(value, list):
            value[:] = [factor * number] * len(value)
        else:
            setattr(counters, name, factor * number)
    return counters


def test_every_figure_of_a_tenant_is_the_sum_of_its_logins() -> None:
    traffic = Traffic()
    for login, factor in (("app", 1), ("report", 2)):
        traffic.of("acme", login).add(_used(factor))
    traffic.of("globex", "app").add(_used(7))
    assert traffic.statistics() == {"acme": _used(3).statistics(), "globex": _used(7).statistics()}


def test_what_no_meter_counts_is_told_by_tenant_and_limit() -> None:
    traffic = Traffic()
    traffic.of("acme", "app").quota_refusals["storage"] = 2
    traffic.of("acme", "report").quota_refusals["storage"] = 3
    traffic.of("acme", "report").quota_warnings["result_rows"] = 1
    traffic.of("globex", "app")
    assert sorted(traffic.unmetered()) == [("acme", "result_rows", 0, 1), ("acme", "storage", 5, 0)]


def test_a_tenant_is_forgotten_with_all_its_logins_and_begins_at_nothing() -> None:
    traffic = Traffic()
    traffic.of("acme", "app").connections = 1
    traffic.of("globex", "app").rows = 7
    assert traffic.idle("acme") is None
    traffic.of("acme", "app").connections = 0
    assert traffic.idle("acme") == {"app": traffic.of("acme", "app")}
    traffic.forget("acme")
    traffic.forget("nobody")
    assert traffic.tenants() == {"globex"}
    assert [(tenant, login) for tenant, login, _ in traffic.every()] == [("globex", "app")]
    assert traffic.idle("acme") == {}


def test_a_snapshot_of_a_tenant_does_not_change_any_more() -> None:
    traffic = Traffic()
    traffic.of("acme", "app").bytes_in = 5
    taken = traffic.statistics()
    traffic.of("acme", "app").bytes_in = 6
    assert taken["acme"].bytes_in == 5
