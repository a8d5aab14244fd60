"""Every kind of finding of a shared database: what it shows is possible for the application's role at the server, until
its remedy is run; then the finding is gone.

The statement is the finding's own, with what was planted in place of its blanks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from proxy.catalog.finding import Finding, Severity
from proxy.doctor.report import schema_findings
from proxy.tenancy.policy import Access
from tests.doctor.clinic import ROLE, clinic, patient
from tests.kit.attacks import Outcome, filled, outcome, works
from tests.kit.postgres import SUPERUSER, Cluster

TABLE = "CREATE TABLE t (tenant_id int NOT NULL, a text, PRIMARY KEY (tenant_id, a));"
HEAP = "CREATE TABLE t (tenant_id int NOT NULL, a text);"
ROWS = "INSERT INTO t VALUES (1, 'mine'), (2, 'theirs');"
KEYED = "CREATE TABLE t (tenant_id int NOT NULL, {}); INSERT INTO t VALUES (2, {});"
SECRET = "CREATE SCHEMA s; CREATE TABLE s.secret (a int); INSERT INTO s.secret VALUES (7);"
FUNCTION = "CREATE FUNCTION f(a text) RETURNS boolean LANGUAGE plpgsql {} AS $$ BEGIN {} RETURN true; END $$;"
TOLD = FUNCTION.format("COST 0.001", "IF a = 'theirs' THEN RAISE EXCEPTION '%', a; END IF;")
LOG = (
    "CREATE TABLE log (a text); CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN INSERT INTO log VALUES (TG_OP); RETURN NULL; END';"
)
OWN = {"'own'": "'1'"}


@dataclass(frozen=True)
class Case:
    """A fault, and what its attack gives before and after its remedy. then: after the usual grants; told: asked after
    the attack, in its transaction; None: it works.
    """

    name: str
    severity: Severity
    sql: str
    before: Outcome | None
    after: Outcome = "42501"
    blanks: dict[str, str] = field(default_factory=dict)
    then: str = ""
    told: str = ""
    role: str = ROLE
    relations: dict[str, tuple[Access, str | None]] = field(default_factory=dict)
    functions: tuple[str, ...] = ()


def guess(value: str) -> dict[str, str]:
    """The blanks of an attack that guesses."""
    return {**OWN, "'a guess'": f"'{value}'"}


CASES = [
    Case("keys.t", "critical", KEYED.format("id int PRIMARY KEY", 7), "23505", [], guess("7")),
    Case("keys.t", "critical", KEYED.format("id int UNIQUE", 7), "23505", [], guess("7")),
    Case(
        "keys.t", "warning", "CREATE TABLE t (tenant_id int NOT NULL, id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);"
        "INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (2, 7)", "23505", [], guess("7"),
    ),
    Case(
        "keys.t", "critical", KEYED.format("r int4range, EXCLUDE USING gist (r WITH &&)", "'[1,9)'"),
        "23P01", [], guess("[5,7)"),
    ),
    Case(
        "keys.t", "critical", KEYED.format("id text", "'A'") + "CREATE UNIQUE INDEX ON t (lower(id))",
        "23505", [], {**guess("a"), "…": "id"},
    ),
    Case(
        "fk.c", "critical",
        "CREATE TABLE p (tenant_id int NOT NULL, id int UNIQUE, UNIQUE (tenant_id, id)); INSERT INTO p VALUES (2, 7);"
        "CREATE TABLE c (tenant_id int NOT NULL, p int REFERENCES p (id))",
        [], "23503", guess("7"),
    ),
    Case(
        "distribution.t", "advice", KEYED.format("id int PRIMARY KEY", 7), "0A000", [], role=SUPERUSER,
        then=f"REVOKE INSERT, UPDATE ON t FROM {ROLE}",
    ),
    Case("column.t", "warning", "CREATE TABLE t (tenant_id int, id int)", [], "23502"),
    Case(
        "column.t", "warning", "CREATE TABLE t (tenant_id numeric NOT NULL); INSERT INTO t VALUES ('1'), ('1.0')",
        [(True,)], [(False,)], {"SELECT *": "SELECT count(*) = 2", **OWN},
    ),
    Case(
        "column.t", "warning", "CREATE EXTENSION citext; CREATE TABLE t (tenant_id citext NOT NULL);"
        "INSERT INTO t VALUES ('acme'), ('ACME')", [("acme",), ("ACME",)], [("acme",)], {"'own'": "'acme'"},
    ),
    Case("view.v", "warning", TABLE + ROWS + "CREATE VIEW v AS SELECT count(*) FROM t", [(2,)]),
    Case("view.v", "warning", TABLE + ROWS + "CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t", [(2,)]),
    Case("unlisted.v", "warning", "CREATE TABLE v (a int); INSERT INTO v VALUES (7)", [(7,)]),
    Case(
        "unlisted.s.v", "advice", "CREATE SCHEMA s; CREATE TABLE s.v (a int);", None,
        blanks={"SELECT * FROM": "DELETE FROM"},
        then=f"GRANT USAGE ON SCHEMA s TO {ROLE}; GRANT DELETE ON s.v TO {ROLE}",
    ),
    Case(
        "unlisted.v", "warning", "CREATE EXTENSION file_fdw; CREATE SERVER s FOREIGN DATA WRAPPER file_fdw;"
        "CREATE FOREIGN TABLE v (a text) SERVER s OPTIONS (filename 'PG_VERSION')", None,
    ),
    Case("grants.t", "warning", TABLE + ROWS, [], then=f"GRANT TRUNCATE ON t TO {ROLE}"),
    Case("grants.t", "warning", TABLE, [], then=f"GRANT TRIGGER ON t TO {ROLE}"),
    Case(
        "grants.t", "warning", "CREATE TABLE t (tenant_id int NOT NULL, a text PRIMARY KEY); CREATE SCHEMA s", [],
        blanks={"…": "text", "TABLE another": "TABLE s.another"},
        then=f"GRANT REFERENCES ON t TO PUBLIC; GRANT USAGE, CREATE ON SCHEMA s TO {ROLE}",
    ),
    Case(
        "grants.t", "warning", TABLE, [(True,)], [(False,)], then=f"GRANT SELECT ON t TO {ROLE} WITH GRANT OPTION",
        told="SELECT has_table_privilege('pg_monitor', 't', 'SELECT')",
    ),
    Case("grants.t", "warning", "CREATE TABLE t (a int)", [], relations={"t": ("shared", None)}),
    Case(
        "grants.t", "warning", "CREATE TABLE t (a int)", [], blanks={"…": "a = 1"}, relations={"t": ("shared", None)},
        then=f"REVOKE INSERT, DELETE ON t FROM {ROLE}",
    ),
    Case(
        "grants.t", "warning", "CREATE TABLE t (a int)", [], relations={"t": ("shared", None)},
        then=f"REVOKE UPDATE, DELETE ON t FROM {ROLE}",
    ),
    Case("sequence.s", "warning", "CREATE SEQUENCE s", [(1,)], then=f"GRANT UPDATE ON SEQUENCE s TO {ROLE}"),
    Case("sequence.s", "advice", "CREATE SEQUENCE s", [(1,)], then=f"GRANT SELECT ON SEQUENCE s TO {ROLE}"),
    Case("sequence.s", "advice", "CREATE SEQUENCE s", [(1,)], then=f"GRANT USAGE ON SEQUENCE s TO {ROLE}"),
    Case(
        "function.f", "warning",
        SECRET + "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT a FROM s.secret'",
        [(7,)], blanks={"…": ""},
    ),
    Case(
        "function.f", "warning",
        SECRET + "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT a FROM s.secret'",
        [(7,)], blanks={"…": ""}, functions=("f",),
    ),
    Case(
        "function.f", "warning",
        LOG + "CREATE PROCEDURE f() LANGUAGE sql SECURITY DEFINER AS $$INSERT INTO log VALUES ('x')$$",
        [], blanks={"…": ""},
    ),
    Case(
        "function.f", "warning", HEAP + ROWS + TOLD, "P0001",
        blanks={**OWN, "a_table": "t", "tenant_column": "tenant_id", "…": "a"},
    ),
    Case(
        "function.f", "warning", HEAP + ROWS + TOLD, "P0001", [(1,)],
        {**OWN, "a_table": "t", "tenant_column": "tenant_id", "…": "a"}, functions=("f",),
    ),
    Case("function.f", "advice", FUNCTION.format("", ""), [(True,)], blanks={"…": "''"}),
    *(
        Case(
            "trigger.t", "warning", f"{HEAP}{ROWS}{LOG}CREATE TRIGGER one AFTER {event} ON t EXECUTE FUNCTION g()",
            [(1,)], [(0,)], OWN, told="SELECT count(*) FROM log", then=f"GRANT TRUNCATE ON t TO {ROLE}",
        )
        for event in ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
    ),
    Case(
        "trigger.p", "warning",
        "CREATE TABLE t (tenant_id int NOT NULL, a text) PARTITION BY LIST (tenant_id);"
        f"CREATE TABLE p PARTITION OF t DEFAULT; {LOG}"
        "CREATE TRIGGER one AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION g()",
        [(1,)], [(0,)], OWN, told="SELECT count(*) FROM log",
    ),
    *(
        Case(
            "trigger.t", "warning",
            f"{HEAP}{ROWS}CREATE TABLE log (a text); CREATE RULE one AS ON {event} TO t DO INSTEAD"
            " INSERT INTO log VALUES ('x')",
            [(1,)], [(0,)], OWN, told="SELECT count(*) FROM log",
        )
        for event in ("INSERT", "UPDATE", "DELETE")
    ),
]  # fmt: skip


async def one_finding(cluster: Cluster, database: str, case: Case) -> list[Finding]:
    """Those of the case's name."""
    seen = await patient(cluster, database, case.functions, case.relations)
    return [one for one in schema_findings(seen) if one.name == case.name]


# Not every build of PostgreSQL has ICU.
FOLDED = Case(
    "column.t", "warning",
    "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
    "CREATE TABLE t (tenant_id text COLLATE folded NOT NULL); INSERT INTO t VALUES ('acme'), ('ACME')",
    [("acme",), ("ACME",)], [("acme",)], {"'own'": "'acme'"},
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name} {case.sql[:40]} {case.then}".strip())
async def test_the_attack_is_possible_until_the_remedy_is_run(server: Cluster, case: Case) -> None:
    await attacked(server, case)


async def test_a_collation_that_folds_makes_two_tenants_one(postgres15: Cluster) -> None:
    await attacked(postgres15, FOLDED)


async def test_a_privilege_of_newer_servers_lets_everybody_wait(postgres18: Cluster) -> None:
    await attacked(postgres18, Case("grants.t", "warning", TABLE, [], then=f"GRANT MAINTAIN ON t TO {ROLE}"))


async def attacked(server: Cluster, case: Case) -> None:
    """Before the remedy, and after."""
    with clinic(server, case.sql) as name:
        if case.then:
            server.psql(name, case.then)
        (found,) = await one_finding(server, name, case)
        assert found.severity == case.severity
        attack = filled(found.attack, case.blanks) + (f"; {case.told}" if case.told else "")
        before = outcome(server, name, case.role, attack)
        assert works(before) if case.before is None else before == case.before
        server.psql(name, found.remedy)
        assert outcome(server, name, case.role, attack) == case.after
        assert await one_finding(server, name, case) == []
