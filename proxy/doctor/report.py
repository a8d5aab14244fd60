"""The doctor's report: every finding of a database, the worst first, with what the rules accept, and a score.

Names that are accepted stay in the report and count for nothing. What must hold of the role (catalog/facts.py) cannot
be accepted: no rule makes a role safe that is above the law.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from proxy.catalog.examination import Examination
from proxy.catalog.finding import Finding
from proxy.catalog.model import Catalog
from proxy.doctor.behind import wall_findings
from proxy.doctor.columns import column_findings
from proxy.doctor.grants import default_findings, sequence_findings
from proxy.doctor.indexes import index_findings, partition_findings
from proxy.doctor.keys import distribution_findings, foreign_key_findings, key_findings
from proxy.doctor.patient import Patient
from proxy.doctor.surface import action_findings, function_findings, relation_findings
from proxy.doctor.views import verified_findings
from proxy.sql.world import World
from proxy.tenancy.policy import Grant

WEIGHTS = {"critical": 25, "warning": 5, "advice": 1}
ORDER = tuple(WEIGHTS)
# Minors in which CVE-2025-8713 is mended: statistics of rows that nobody may see reached operators before.
MENDED = {14: 19, 15: 14, 16: 10, 17: 6}


@dataclass(frozen=True, slots=True)
class Report:
    """findings: (finding, whether the rules accept it)."""

    findings: tuple[tuple[Finding, bool], ...]

    @property
    def open(self) -> tuple[Finding, ...]:
        """Those that are not accepted."""
        return tuple(one for one, accepted in self.findings if not accepted)

    @property
    def worst(self) -> str:
        """The severity of the worst open one; "" where there is none."""
        found = {one.severity for one in self.open}
        return next((one for one in ORDER if one in found), "")

    @property
    def score(self) -> int:
        """100 where nothing is open, never below 0."""
        return max(0, 100 - sum(WEIGHTS[one.severity] for one in self.open))


def schema_findings(patient: Patient) -> Iterator[Finding]:
    """What is wrong with the tables, functions and grants, in an order in which the DDL can be run."""
    yield from _of_version(patient)
    yield from chain(
        key_findings(patient),
        foreign_key_findings(patient),
        distribution_findings(patient),
        column_findings(patient),
        relation_findings(patient),
        verified_findings(patient),
        sequence_findings(patient),
        default_findings(patient),
        function_findings(patient),
        action_findings(patient),
        index_findings(patient),
        partition_findings(patient),
        wall_findings(patient),
    )


def refusing(grant: Grant, catalog: Catalog, examination: Examination) -> list[Finding]:
    """The critical findings of a shared database that the grant's rules do not accept by name."""
    found = schema_findings(Patient(World(grant.policy, catalog), examination))
    return [one for one in found if one.severity == "critical" and not (one.acceptable and one.name in grant.accept)]


def _of_version(patient: Patient) -> Iterator[Finding]:
    major, minor = divmod(patient.examination.version, 10000)
    if minor < MENDED.get(major, 0):
        text = f"PostgreSQL {major}.{minor} shows statistics of hidden rows to operators (CVE-2025-8713)"
        remedy = f"upgrade the server to {major}.{MENDED[major]} or later"
        attack = "EXPLAIN SELECT 1 FROM a_table WHERE … -- an operator that tells is shown other tenants' values"
        behind = patient.world.policy.behind_rls
        yield Finding("server.minor", "critical" if behind else "warning", text, remedy, attack, acceptable=not behind)


def report_of(facts: Iterable[Finding], schema: Iterable[Finding], accepted: Collection[str]) -> Report:
    """The worst first, otherwise in their order; only those of the schema can be accepted."""
    found = [(one, False) for one in facts] + [(one, one.acceptable and one.name in accepted) for one in schema]
    return Report(tuple(sorted(found, key=lambda one: ORDER.index(one[0].severity))))
