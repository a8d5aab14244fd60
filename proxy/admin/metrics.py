"""Prometheus metrics: a collector over snapshots, so that counting costs the hot path an addition and nothing else.

Labels are tenants, databases, statement kinds and states: all bounded by the rules. Names follow the Prometheus
guidelines (base units, _total). A family of all tenants comes in pieces, of TOGETHER tenants each (exposition.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import TypeVar

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy import __version__
from proxy.accounting.bookkeeper import UsageStatistics
from proxy.backup.schedules import BackupStatistics
from proxy.catalog.tenants import TableStatistics
from proxy.catalog.verifiers import VerifierStatistics
from proxy.doctor.canary import CanaryStatistics
from proxy.fleet.database import DatabaseStatistics
from proxy.fleet.rationing import StoreStatistics
from proxy.fleet.storage import StorageStatistics
from proxy.pool.statistics import PoolsStatistics, TenantStatistics
from proxy.quota.budgets import QuotaStatistics
from proxy.server.proofs import LoginStatistics
from proxy.session.counters import BUCKETS, TrafficStatistics

T = TypeVar("T")

TOGETHER = 50  # tenants; some milliseconds of work
POOL_STATES = ("idle", "leased", "opening", "cleaning", "cancelling", "closing", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the figures come from; each call is a snapshot."""

    traffic: Callable[[], Iterator[tuple[str, TrafficStatistics]]]  # each tenant's, as of when its turn comes
    pools: Callable[[], PoolsStatistics]
    databases: Callable[[], Mapping[str, DatabaseStatistics]]
    canaries: Callable[[], Sequence[CanaryStatistics]] = tuple
    refused: Callable[[], Mapping[str, int]] = dict  # connections, by reason
    verifiers: Callable[[], VerifierStatistics] = lambda: VerifierStatistics(0, 0, 0)
    usage: Callable[[], UsageStatistics] = UsageStatistics
    tables: Callable[[], TableStatistics] = lambda: TableStatistics(0, 0)
    storages: Callable[[], StorageStatistics] = lambda: StorageStatistics({})
    backups: Callable[[], Iterable[BackupStatistics]] = tuple  # each tenant's, as of when its turn comes
    backups_running: Callable[[], int] = lambda: 0
    logins: Callable[[], LoginStatistics] = lambda: LoginStatistics({}, 0)
    store: Callable[[], StoreStatistics | None] = lambda: None  # where limits are shared
    generation: Callable[[], int]
    reload_failed: Callable[[], bool]
    quotas: Callable[[], Sequence[QuotaStatistics]] = tuple


class PartywallCollector(Collector):
    """Turns snapshots into metric families."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        for some in _some(self._sources.traffic()):
            yield from _traffic(some)
        yield from _pools(self._sources.pools())
        yield from _databases(self._sources.databases())
        yield from _canaries(self._sources.canaries())
        for quotas in _some(self._sources.quotas()):
            yield from _quotas(quotas)
        refused = CounterMetricFamily(
            "partywall_refused_connections", "Connections that were not even heard", labels=["reason"]
        )
        for reason, count in self._sources.refused().items():
            refused.add_metric([reason], count)
        yield refused
        yield from _logins(self._sources.logins())
        yield from _verifiers(self._sources.verifiers())
        yield from _usage(self._sources.usage())
        yield from _tables(self._sources.tables())
        yield from _storages(self._sources.storages())
        for backups in _some(self._sources.backups()):
            yield from _backups(backups)
        yield GaugeMetricFamily(
            "partywall_backups_running", "Scheduled backups that are being made", value=self._sources.backups_running()
        )
        yield from _store(self._sources.store())
        yield GaugeMetricFamily(
            "partywall_rules_generation", "Generation of the rules in force", value=self._sources.generation()
        )
        yield GaugeMetricFamily(
            "partywall_rules_reload_failed", "1 when the last reload was refused", value=self._sources.reload_failed()
        )
        info = GaugeMetricFamily("partywall_info", "The running version", labels=["version"])
        info.add_metric([__version__], 1)
        yield info


def registry(sources: Sources) -> CollectorRegistry:
    """A registry of its own with these metrics and the process's."""
    found = CollectorRegistry()
    found.register(PartywallCollector(sources))
    ProcessCollector(registry=found)
    PlatformCollector(registry=found)
    return found


def _some(items: Iterable[T]) -> Iterator[Sequence[T]]:
    """All of them, some at a time; once nothing, where there is nothing."""
    rest = iter(items)
    some = list(islice(rest, TOGETHER))
    yield some
    while some:
        some = list(islice(rest, TOGETHER))
        if some:
            yield some


def _traffic(tenants: Iterable[tuple[str, TrafficStatistics]]) -> Iterator[Metric]:
    connections = GaugeMetricFamily("partywall_client_connections", "Open client connections", labels=["tenant"])
    sessions = CounterMetricFamily("partywall_sessions", "Client sessions since the start", labels=["tenant"])
    statements = CounterMetricFamily(
        "partywall_statements", "Statements by kind and verdict", labels=["tenant", "kind", "verdict"]
    )
    rewritten = CounterMetricFamily(
        "partywall_statements_rewritten", "Statements that got a tenant predicate or key", labels=["tenant"]
    )
    lookups = CounterMetricFamily(
        "partywall_plan_cache_lookups", "Lookups in the plan cache by result", labels=["tenant", "result"]
    )
    received = CounterMetricFamily("partywall_client_received_bytes", "Bytes from clients", labels=["tenant"])
    sent = CounterMetricFamily("partywall_client_sent_bytes", "Bytes to clients", labels=["tenant"])
    rows = CounterMetricFamily("partywall_client_rows", "Rows to clients", labels=["tenant"])
    server = CounterMetricFamily(
        "partywall_server_busy_seconds", "Time that servers had something to do for a tenant", labels=["tenant"]
    )
    waited = CounterMetricFamily(
        "partywall_server_wait_seconds", "Time that clients waited for a server connection", labels=["tenant"]
    )
    latency = HistogramMetricFamily(
        "partywall_statement_seconds", "From a statement's arrival to its ReadyForQuery", labels=["tenant"]
    )
    listening = GaugeMetricFamily(
        "partywall_listening_sessions", "Sessions that listen, over one server connection", labels=["tenant"]
    )
    pinned = GaugeMetricFamily(
        "partywall_pinned_sessions",
        "Sessions that keep their server connection between transactions, by reason",
        labels=["tenant", "reason"],
    )
    for tenant, one in tenants:
        listening.add_metric([tenant], one.listening)
        for reason, count in one.pinned.items():
            pinned.add_metric([tenant, reason], count)
        connections.add_metric([tenant], one.connections)
        sessions.add_metric([tenant], one.sessions)
        for (kind, verdict), count in one.statements.items():
            statements.add_metric([tenant, kind, verdict], count)
        rewritten.add_metric([tenant], one.rewritten)
        for result, count in one.plans.items():
            lookups.add_metric([tenant, result], count)
        received.add_metric([tenant], one.bytes_in)
        sent.add_metric([tenant], one.bytes_out)
        rows.add_metric([tenant], one.rows)
        server.add_metric([tenant], one.server)
        waited.add_metric([tenant], one.waited)
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        latency.add_metric([tenant], list(zip(bounds, accumulate(one.buckets), strict=True)), one.seconds)
    yield from (connections, sessions, statements, rewritten, lookups, received, sent, rows, server, waited, latency)
    yield from (listening, pinned)


def _pools(pools: PoolsStatistics) -> Iterator[Metric]:
    connections = GaugeMetricFamily(
        "partywall_pool_connections",
        "Server connections by state; waiting: clients that wait for one",
        labels=["tenant", "database", "state"],
    )
    totals: dict[tuple[str, str, str], int] = {}
    for share in pools.shares:
        for state in POOL_STATES:
            key = (share.tenant, share.server.database, state)
            totals[key] = totals.get(key, 0) + getattr(share, state)
    for labels, count in totals.items():
        connections.add_metric(list(labels), count)
    yield connections
    yield GaugeMetricFamily(
        "partywall_server_connections", "Server connections of this process", value=pools.connections
    )
    yield GaugeMetricFamily("partywall_server_connections_limit", "Their ceiling", value=pools.ceiling)
    at_server = GaugeMetricFamily(
        "partywall_connections_to_server", "Server connections of this process to one server", labels=["server"]
    )
    at_most = GaugeMetricFamily("partywall_connections_to_server_limit", "Their ceiling", labels=["server"])
    for site in pools.sites:
        at_server.add_metric([site.name], site.connections)
        if site.ceiling is not None:
            at_most.add_metric([site.name], site.ceiling)
    yield from (at_server, at_most)
    for name, what in (
        ("opened", "Server connections opened"),
        ("closed", "Server connections closed"),
        ("failures", "Server connections that could not be made"),
        ("resets", "Changes of tenant by DISCARD ALL"),
        ("cancels", "Cancel requests sent to servers"),
        ("timeouts", "Clients that waited in vain for a server connection"),
        ("unwell", "Server connections that were idle for long and did not answer"),
    ):
        yield CounterMetricFamily(f"partywall_server_{name}", what, value=getattr(pools.counters, name))
    for some in _some(pools.tenants):
        yield from _shares(some)


def _shares(tenants: Iterable[TenantStatistics]) -> Iterator[Metric]:
    ceilings = GaugeMetricFamily(
        "partywall_pool_ceiling", "A tenant's part of all server connections at present", labels=["tenant"]
    )
    lent = CounterMetricFamily("partywall_pool_server_seconds", "Server connections lent, by time", labels=["tenant"])
    waited = CounterMetricFamily("partywall_pool_wait_seconds", "Time until waiting leases came", labels=["tenant"])
    waits = CounterMetricFamily("partywall_pool_waits", "Leases that were waited for", labels=["tenant"])
    for tenant in tenants:
        ceilings.add_metric([tenant.tenant], tenant.ceiling)
        lent.add_metric([tenant.tenant], tenant.server_seconds)
        waited.add_metric([tenant.tenant], tenant.wait_seconds)
        waits.add_metric([tenant.tenant], tenant.waits)
    yield from (ceilings, lent, waited, waits)


def _store(store: StoreStatistics | None) -> Iterator[Metric]:
    for name, what in (
        ("up", "1 when the counter store answered the last time that it was asked"),
        ("age_seconds", "Seconds since its last answer"),
        ("fenced", "1 when this process may admit nothing that is shared"),
        ("share", "This process's part of every shared rate, from 0 to 1"),
    ):
        value = None if store is None else float(getattr(store, name.removesuffix("_seconds")))
        yield GaugeMetricFamily(f"partywall_counter_store_{name}", what, value=value)
    for name, what in (("exchanges", "Answers of the counter store"), ("failures", "Times that it had none")):
        count = None if store is None else getattr(store, name)
        yield CounterMetricFamily(f"partywall_counter_store_{name}", what, value=count)


def _canaries(canaries: Sequence[CanaryStatistics]) -> Iterator[Metric]:
    labels = ["tenant", "database"]
    ok = GaugeMetricFamily(
        "partywall_canary_ok", "1 when the canary's last round was whole and no attack has leaked", labels=labels
    )
    attacks = CounterMetricFamily("partywall_canary_attacks", "Attacks by outcome", labels=[*labels, "outcome"])
    for one in canaries:
        ok.add_metric([one.tenant, one.database], one.ok)
        for outcome, count in one.outcomes.items():
            attacks.add_metric([one.tenant, one.database, outcome], count)
    yield from (ok, attacks)


def _quotas(quotas: Sequence[QuotaStatistics]) -> Iterator[Metric]:
    labels = ["tenant", "limit"]
    refusals = CounterMetricFamily("partywall_quota_refusals", "Statements refused by a quota", labels=labels)
    warnings = CounterMetricFamily(
        "partywall_quota_warnings", "Statements beyond a quota that only warns", labels=labels
    )
    waits = CounterMetricFamily("partywall_quota_waits", "Statements that waited for a quota", labels=labels)
    used = GaugeMetricFamily("partywall_quota_used_ratio", "Share that is used; above 1: owed", labels=labels)
    for one in quotas:
        refusals.add_metric([one.tenant, one.label], one.refusals)
        warnings.add_metric([one.tenant, one.label], one.warnings)
        waits.add_metric([one.tenant, one.label], one.waits)
        if one.used is not None:
            used.add_metric([one.tenant, one.label], one.used)
    yield from (refusals, warnings, waits, used)


def _logins(logins: LoginStatistics) -> Iterator[Metric]:
    outcomes = CounterMetricFamily("partywall_logins", "Log-ins by outcome", labels=["outcome"])
    for outcome, count in logins.outcomes.items():
        outcomes.add_metric([outcome], count)
    yield outcomes
    yield CounterMetricFamily(
        "partywall_logins_delayed", "Answers to proofs that had to wait, after wrong ones", value=logins.delayed
    )


def _tables(asked: TableStatistics) -> Iterator[Metric]:
    yield CounterMetricFamily("partywall_tenant_table_looks", "Looks at tables of tenants", value=asked.looks)
    yield CounterMetricFamily("partywall_tenant_table_failures", "Those that failed", value=asked.failures)


def _verifiers(asked: VerifierStatistics) -> Iterator[Metric]:
    yield CounterMetricFamily("partywall_auth_query_looks", "Times that servers were asked", value=asked.looks)
    yield CounterMetricFamily("partywall_auth_query_failures", "Times that they did not answer", value=asked.failures)
    yield GaugeMetricFamily("partywall_auth_query_logins", "Logins with a verifier that counts", value=asked.known)


def _usage(usage: UsageStatistics) -> Iterator[Metric]:
    yield GaugeMetricFamily("partywall_usage_behind_seconds", "Age of what the journal is sure of", value=usage.behind)
    yield CounterMetricFamily(
        "partywall_usage_failures", "Times that the journal could not be written", value=usage.failures
    )
    yield CounterMetricFamily("partywall_usage_exports", "Files of whole hours", value=usage.exported)
    yield CounterMetricFamily(
        "partywall_usage_export_failures", "Times that they could not be written", value=usage.export_failures
    )


def _storages(storages: StorageStatistics) -> Iterator[Metric]:
    for some in _some(storages.used.items()):
        used = GaugeMetricFamily("partywall_storage_bytes", "Bytes of a tenant's rows, counted last", labels=["tenant"])
        for tenant, size in some:
            used.add_metric([tenant], size)
        yield used
    yield CounterMetricFamily("partywall_storage_counts", "Counts of a database", value=storages.counts)
    yield CounterMetricFamily("partywall_storage_failures", "Counts that failed", value=storages.failures)


def _backups(tenants: Iterable[BackupStatistics]) -> Iterator[Metric]:
    labels = ["tenant", "database"]
    age = GaugeMetricFamily(
        "partywall_backup_age_seconds", "Since the last good backup was begun; +Inf: none is known", labels=labels
    )
    failures = CounterMetricFamily("partywall_backup_failures", "Scheduled backups that failed", labels=labels)
    seconds = GaugeMetricFamily(
        "partywall_backup_last_seconds", "Time that the last good backup took, read back", labels=labels
    )
    size = GaugeMetricFamily("partywall_backup_last_bytes", "Size of the last good backup's archive", labels=labels)
    for one in tenants:
        names = [one.tenant, one.database]
        age.add_metric(names, one.age)
        failures.add_metric(names, one.failures)
        if one.seconds is not None and one.size is not None:
            seconds.add_metric(names, one.seconds)
            size.add_metric(names, one.size)
    yield from (age, failures, seconds, size)


def _databases(databases: Mapping[str, DatabaseStatistics]) -> Iterator[Metric]:
    entries = GaugeMetricFamily("partywall_plan_cache_entries", "Plans kept", labels=["database"])
    size = GaugeMetricFamily("partywall_plan_cache_bytes", "Bytes of plans kept", labels=["database"])
    evictions = CounterMetricFamily("partywall_plan_cache_evictions", "Plans thrown out for room", labels=["database"])
    version = GaugeMetricFamily(
        "partywall_catalog_version", "Grows with every change of the schema", labels=["database"]
    )
    failures = CounterMetricFamily("partywall_catalog_failures", "Looks at the schema that failed", labels=["database"])
    tenants = GaugeMetricFamily("partywall_catalog_tenants", "Tenants whose picture is in memory", labels=["database"])
    for name, one in databases.items():
        plans = one.plans
        entries.add_metric([name], plans.entries)
        size.add_metric([name], plans.bytes)
        evictions.add_metric([name], plans.evictions)
        version.add_metric([name], one.catalog.version)
        failures.add_metric([name], one.catalog.failures)
        if one.tenants is not None:
            tenants.add_metric([name], one.tenants)
    yield from (entries, size, evictions, version, failures, tenants)
