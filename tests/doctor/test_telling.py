"""What many tenants have alike is told once, with the names of a few."""

from __future__ import annotations

from dataclasses import replace

from proxy.catalog.finding import Finding
from proxy.doctor.report import report_of
from proxy.doctor.survey import Surveyed
from proxy.doctor.telling import described, told
from proxy.tenancy.policy import Server

SERVER = Server("db", 5432, "erp", "a")


def surveyed(tenant: str, *findings: Finding) -> Surveyed:
    return Surveyed(replace(SERVER, role=f"{tenant}_rw"), (tenant,), tenant, report_of(findings, (), ()))


def reach(tenant: str) -> Finding:
    text = f'role "{tenant}_rw" may use schema public, which is not its own'
    return Finding(
        "schema.reach", "critical", text, f'REVOKE USAGE ON SCHEMA public FROM PUBLIC, "{tenant}_rw";', "SELECT 1"
    )


def view(tenant: str) -> Finding:
    return Finding(
        f"view.{tenant}.v", "critical", f"view {tenant}.v is another's", f"ALTER VIEW {tenant}.v OWNER TO x;"
    )


def test_one_tenant_is_told_whole() -> None:
    one = surveyed("acme", reach("acme"))
    assert list(told([one])) == list(described("acme_rw@db:5432/erp", one.report))
    assert next(told([one])) == "acme_rw@db:5432/erp: score 75 of 100"


def test_what_is_alike_is_told_once_and_the_worst_first() -> None:
    names = [f"t{number}" for number in range(8)]
    warned = Finding(
        "role.member", "warning", 'role "t0_rw" is a member of "g"', 'REVOKE "g" FROM "t0_rw";', "SET ROLE g"
    )
    many = [surveyed(one, *([warned] if one == "t0" else []), reach(one), view(one)) for one in names]
    text = "\n".join(told(many))
    assert text.splitlines()[0] == "db:5432/erp: 8 tenants, score 45 to 50 of 100"
    assert text.count("critical: ") == 2
    assert text.index("warning: role.member") > text.rindex("critical: ")
    assert "tenants: t0, t1, t2, t3, t4 and 3 more\n" in text
    assert text.count("  remedy: ") == 3 + 3 + 1
    assert text.count("and 5 more remedies, which --json shows") == 2


def test_thousands_without_findings_are_one_line() -> None:
    assert list(told([surveyed(f"t{number}") for number in range(3000)])) == [
        "db:5432/erp: 3000 tenants, score 100 of 100"
    ]


def test_a_name_inside_another_is_not_taken_for_it() -> None:
    """A schema called `a` must not make two findings alike that differ in more."""
    one, other = (
        Finding("schema.write", "critical", f'role "a_rw" may change ref.{name}', "") for name in ("as", "bs")
    )
    text = list(told([surveyed("a", one, other), surveyed("b")]))
    assert sum(line.startswith("critical: ") for line in text) == 2
