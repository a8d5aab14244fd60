"""The report on the sample schema: reviewed finding by finding, each attack tried before and after the DDL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.catalog.connect import connect
from proxy.catalog.examination import examine
from proxy.catalog.facts import check_facts
from proxy.catalog.finding import Finding
from proxy.catalog.introspect import introspect
from proxy.doctor.patient import Patient
from proxy.doctor.report import MENDED, Report, refusing, report_of, schema_findings
from proxy.doctor.telling import described
from proxy.sql.world import World
from proxy.tenancy.load import load
from tests.doctor.clinic import clinic, patient
from tests.kit.attacks import Outcome, outcome
from tests.kit.postgres import Cluster
from tests.kit.rls import load_walled, rls_grants
from tests.kit.rules import sample_rules

GOLDEN = Path(__file__).with_name("schema.golden")
DATA = Path(__file__).resolve().parent.parent / "data"
# What `app` does at the server, as tenant 1, and how it ends before and after: an SQLSTATE, or the last rows.
DONE: Outcome = []
ATTACKS: dict[str, tuple[str, Outcome, Outcome]] = {
    "keys.accounts": ("INSERT INTO accounts (tenant_id, id, owner) VALUES (1, 201, 'x')", "23505", DONE),
    "keys.audit_log": ("INSERT INTO audit_log (tenant_id, id, tbl, op) VALUES (1, 5, 'x', 'x')", "23505", DONE),
    "keys.bookings": ("INSERT INTO bookings (tenant_id, room, during) VALUES (1, 1, '[2010,2014)')", "23P01", DONE),
    "keys.coupons": ("INSERT INTO coupons (tenant_id, code, pct) VALUES (1, 'SAVE20', 1)", "23505", DONE),
    "keys.transfers": (
        "INSERT INTO transfers (tenant_id, id, from_id, to_id, amount) OVERRIDING SYSTEM VALUE"
        " VALUES (1, 4, 101, 102, 1)",
        "23505",
        DONE,
    ),
    "fk.transfers": (
        "INSERT INTO transfers (tenant_id, from_id, to_id, amount) VALUES (1, 101, 201, 1)", DONE, "23503",
    ),
    "database.temporary": ("CREATE TEMPORARY TABLE mine (a int)", DONE, "42501"),
    "grants.bookings": ("TRUNCATE bookings", DONE, "42501"),
    "grants.notes": ("TRUNCATE notes", DONE, "42501"),
    "grants.open_orders": ("DELETE FROM open_orders WHERE tenant_id = 2 AND id = -1", DONE, "42501"),
    "view.leaky_stats": ("SELECT sum(n) > 21 FROM leaky_stats", [(True,)], "42501"),
    **{
        f"sequence.{name}": (f"SELECT last_value > 0 FROM {name}", [(True,)], "42501")
        for name in ("accounts_id_seq", "audit_log_id_seq", "invoice_no_seq", "transfers_id_seq")
    },
    "function.cheap_leak": (
        "SELECT count(*) FROM orders WHERE tenant_id = 1 AND cheap_leak(secret)", [(21,)], "42501",
    ),
    "function.order_secret": ("SELECT count(*) FROM order_secret(3)", [(3,)], "42501"),
    "function.log_change": ("SELECT log_change()", "0A000", "42501"),  # a trigger's: nobody calls it, and now none may
    "trigger.orders": (
        "UPDATE orders SET note = 'x' WHERE tenant_id = 1 AND id = 1;"
        " SELECT count(*) FROM audit_log WHERE op = 'UPDATE'",
        [(1,)],
        [(0,)],
    ),
}  # fmt: skip
# index. and scan. are shown by what EXPLAIN counts, in test_indexes.py; what is left can be done by no statement today.
UNTRIED = ("index.", "scan.", "grants.mv_order_stats", "grants.order_totals")


@pytest.fixture
def sample(postgres15: Cluster) -> Iterator[str]:
    """The sample schema alone, as in the corpus."""
    with clinic(postgres15, "") as name:
        postgres15.psql(name, file=DATA / "schema.sql")
        yield name


async def report(cluster: Cluster, database: str, folder: Path, accept: bool = False) -> Report:
    text = sample_rules(cluster.port, database).replace("  odd_loud:        {view: verified}\n", "")
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    grant = load(folder, {}, 1).grants["acme", database, False]
    connection = await connect(grant.server, grant.credentials)
    try:
        facts = await check_facts(connection, grant.server)
        seen = Patient(World(grant.policy, await introspect(connection, 1)), await examine(connection))
    finally:
        await connection.close()
    return report_of(facts, schema_findings(seen), grant.accept if accept else ())


async def test_the_sample_schema_has_the_findings_that_were_reviewed(
    postgres15: Cluster, sample: str, tmp_path: Path
) -> None:
    text = "\n".join(described("the sample schema", await report(postgres15, sample, tmp_path))) + "\n"
    assert text.replace(f'"{sample}"', '"shared"') == GOLDEN.read_text(encoding="utf-8")


async def test_the_rules_of_the_sample_accept_exactly_what_is_critical(
    postgres15: Cluster, sample: str, tmp_path: Path
) -> None:
    every, rest = await report(postgres15, sample, tmp_path), await report(postgres15, sample, tmp_path, accept=True)
    accepted = {one.name for one, taken in rest.findings if taken}
    assert accepted == {one.name for one in every.open if one.severity == "critical"}
    assert accepted == {"keys.accounts", "keys.audit_log", "keys.bookings", "keys.coupons", "fk.transfers"}
    assert (every.worst, rest.worst) == ("critical", "warning")


async def test_every_attack_succeeds_before_the_ddl_and_fails_after_and_then_there_is_no_finding(
    postgres15: Cluster, sample: str, tmp_path: Path
) -> None:
    found = await report(postgres15, sample, tmp_path)
    tried = {one.name for one in found.open if not one.name.startswith(UNTRIED)}
    assert tried == ATTACKS.keys()
    assert {name: outcome(postgres15, sample, "app", sql) for name, (sql, _, _) in ATTACKS.items()} == {
        name: before for name, (_, before, _) in ATTACKS.items()
    }
    for one in found.open:
        postgres15.psql(sample, one.remedy)
    assert {name: outcome(postgres15, sample, "app", sql) for name, (sql, _, _) in ATTACKS.items()} == {
        name: after for name, (_, _, after) in ATTACKS.items()
    }
    healthy = await report(postgres15, sample, tmp_path)
    assert (healthy.findings, healthy.worst, healthy.score) == ((), "", 100)


async def test_the_statements_that_are_shown_name_what_they_attack(
    postgres15: Cluster, sample: str, tmp_path: Path
) -> None:
    for one in (await report(postgres15, sample, tmp_path)).open:
        assert one.attack
        if not one.name.startswith("database."):
            assert re.search(rf'"{one.name.split(".")[-1]}"', one.attack), one


def test_the_score_falls_by_severity_and_never_below_nothing() -> None:
    critical, warning = Finding("a", "critical", "", ""), Finding("b", "warning", "", "")
    advice = Finding("c", "advice", "", "")
    assert report_of([], [], []).score == 100
    found = report_of([warning], [advice, critical], ["c", "b"])
    assert [one.name for one, _ in found.findings] == ["a", "b", "c"]
    assert [one.name for one in found.open] == ["a", "b"]  # facts of the role cannot be accepted
    assert (found.worst, found.score) == ("critical", 70)
    assert report_of([critical] * 9, [], []).score == 0


async def test_a_server_whose_minor_shows_statistics_is_found(postgres18: Cluster) -> None:
    with clinic(postgres18, "") as name:
        seen = await patient(postgres18, name)
    for version, expected in (
        (150013, ["server.minor"]),
        (150000 + MENDED[15], []),
        (180000, []),
        (140018, ["server.minor"]),
    ):
        examined = replace(seen.examination, version=version)
        assert [one.name for one in schema_findings(Patient(seen.world, examined))] == expected


@pytest.fixture
def walled(server: Cluster) -> Cluster:
    return load_walled(server)


async def test_where_the_server_is_a_wall_such_a_server_is_refused(walled: Cluster) -> None:
    grant = next(one for one in rls_grants(walled.port) if one.tenant == "acme")
    connection = await connect(grant.server, grant.credentials)
    try:
        catalog, examination = await introspect(connection, 1), await examine(connection)
    finally:
        await connection.close()
    old = replace(examination, version=150013)
    accepting = replace(grant, accept=(*grant.accept, "server.minor"))
    assert refusing(accepting, catalog, examination) == []
    assert [one.name for one in refusing(accepting, catalog, old)] == ["server.minor"]
