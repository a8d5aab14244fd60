"""What a role reaches beside the proxy's predicates is found, and the DDL takes it away."""

from __future__ import annotations

import pytest

from proxy.doctor.surface import action_findings, function_findings, relation_findings
from proxy.tenancy.policy import Access
from tests.doctor.clinic import ROLE, clinic, mended, patient
from tests.kit.postgres import Cluster

TABLE = "CREATE TABLE t (tenant_id int NOT NULL, a text);"
FUNCTION = "CREATE FUNCTION f(a text) RETURNS text LANGUAGE sql {} AS 'SELECT a';"


async def test_a_table_of_tenants_with_the_four_verbs_is_as_it_should_be(postgres18: Cluster) -> None:
    with clinic(postgres18, TABLE + FUNCTION.format("")) as name:
        seen = await patient(postgres18, name)
        every = (relation_findings, function_findings, action_findings)
        assert [one for of in every for one in of(seen)] == []


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        ("CREATE VIEW v AS SELECT count(*) FROM t", "view.v"),
        ("CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t", "view.v"),
        ("CREATE TABLE v (a int)", "unlisted.v"),
        ("CREATE TABLE v (a int) PARTITION BY LIST (a)", "unlisted.v"),
        ("CREATE SCHEMA s; CREATE TABLE s.v (a int); GRANT INSERT ON s.v TO PUBLIC", "unlisted.s.v"),
    ],
)
async def test_a_hidden_relation_that_the_role_may_use_is_found(postgres18: Cluster, sql: str, finding: str) -> None:
    with clinic(postgres18, TABLE + sql) as name:
        (found,) = await mended(postgres18, name, relation_findings)
        assert found.name == finding
        assert found.attack.startswith("SELECT * FROM ")


@pytest.mark.parametrize(
    ("grant", "rule", "verbs"),
    [
        ("TRUNCATE, REFERENCES, TRIGGER", "tenant", "TRUNCATE, REFERENCES, TRIGGER"),
        ("SELECT", "shared", "INSERT, UPDATE, DELETE"),
    ],
)
async def test_more_verbs_than_needed_are_found(postgres18: Cluster, grant: str, rule: Access, verbs: str) -> None:
    with clinic(postgres18, TABLE + f"GRANT {grant} ON t TO {ROLE}") as name:
        column = "tenant_id" if rule == "tenant" else None
        (found,) = await mended(postgres18, name, relation_findings, {"t": (rule, column)})
        assert f"may {verbs} on" in found.text


@pytest.mark.parametrize(
    ("how", "text"),
    [("SECURITY DEFINER", "runs as its owner"), ("COST 0.01", "before the predicates"), ("COST 0.01 LEAKPROOF", "")],
)
async def test_functions_that_no_predicate_holds_are_found(postgres18: Cluster, how: str, text: str) -> None:
    with clinic(postgres18, TABLE + FUNCTION.format(how)) as name:
        found = await mended(postgres18, name, function_findings)
        assert [one.name for one in found] == (["function.f"] if text else [])
        assert all(text in one.text for one in found)


async def test_a_listed_function_keeps_its_callers(postgres18: Cluster) -> None:
    with clinic(postgres18, TABLE + FUNCTION.format("SECURITY DEFINER COST 0.01")) as name:
        (found,) = function_findings(await patient(postgres18, name, ("f",)))
        assert "the rules allow it" in found.text
        postgres18.psql(name, found.remedy)
        assert list(function_findings(await patient(postgres18, name, ("f",)))) == []
        assert postgres18.psql(name, f"SELECT has_function_privilege('{ROLE}', 'f(text)', 'EXECUTE')").strip() == "t"


async def test_triggers_and_rules_of_tenants_tables_are_found(postgres18: Cluster) -> None:
    sql = (
        TABLE + "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER log BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION g();"
        "CREATE RULE also AS ON DELETE TO t DO ALSO SELECT 1"
    )
    with clinic(postgres18, sql) as name:
        (found,) = await mended(postgres18, name, action_findings)
        assert found.name == "trigger.t"
        assert "log (" in found.text
        assert "rule also" in found.text


async def test_a_language_that_nobody_reads_is_advice_until_a_rule_lists_the_function(postgres18: Cluster) -> None:
    sql = TABLE + FUNCTION.format("").replace("LANGUAGE sql", "LANGUAGE plpgsql").replace(
        "SELECT a", "BEGIN RETURN a; END"
    )
    trigger = "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
    with clinic(postgres18, sql + trigger) as name:
        (found,) = await mended(postgres18, name, function_findings)
        assert (found.name, found.severity) == ("function.f", "advice")
        postgres18.psql(name, f"GRANT EXECUTE ON FUNCTION f TO {ROLE}")
        assert list(function_findings(await patient(postgres18, name, ("f",)))) == []


async def test_a_trigger_of_a_partitioned_table_is_told_once_and_one_of_a_partition_too(postgres18: Cluster) -> None:
    sql = (
        "CREATE TABLE p (tenant_id int NOT NULL, a int) PARTITION BY LIST (tenant_id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);"
        "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER all_of_it BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION g();"
        "CREATE TRIGGER part BEFORE INSERT ON p2 FOR EACH ROW EXECUTE FUNCTION g();"
    )
    with clinic(postgres18, sql) as name:
        found = await mended(postgres18, name, action_findings)
        assert [(one.name, "all_of_it" in one.text) for one in found] == [("trigger.p", True), ("trigger.p2", False)]


async def test_a_privilege_on_a_column_counts(postgres18: Cluster) -> None:
    with clinic(postgres18, TABLE + "CREATE TABLE hidden (a int, b int)") as name:
        postgres18.psql(name, f"REVOKE ALL ON hidden FROM {ROLE}; GRANT SELECT (b) ON hidden TO {ROLE}")
        (found,) = await mended(postgres18, name, relation_findings)
        assert (found.name, found.severity) == ("unlisted.hidden", "warning")
