"""What the role may do with sequences, and what it will be given of tables that are not made yet.

Through the proxy sequences are what the rules say (decision 0025), and a new table is hidden unless it has a tenant
column. What is told here is the second line. Source: isolation.md 3.3 and 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.catalog.examination import DefaultGrant, SequenceGrant
from proxy.catalog.finding import Finding, Severity, identifier
from proxy.doctor.patient import Patient, short
from proxy.sql.sequences import OWN_NAME

NEEDED = {"TABLES": frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"}), "SEQUENCES": frozenset({"USAGE"})}
SHOWN = {
    "UPDATE": "SELECT pg_catalog.setval('{}', 1) -- others draw numbers that are taken",
    "SELECT": "SELECT last_value FROM {} -- tells how many numbers others drew",
    "USAGE": "SELECT pg_catalog.nextval('{}') -- tells how many numbers others drew",
}


def sequence_findings(patient: Patient) -> Iterator[Finding]:
    """`sequence.name`: the role may set or read what all tenants draw from, or draw from what no rule names."""
    for one in patient.examination.sequences:
        surplus = [] if OWN_NAME.search(one.name) else _surplus(patient, one)
        if surplus:
            name = f"{identifier(one.schema)}.{identifier(one.name)}"
            severity: Severity = "warning" if "UPDATE" in surplus else "advice"
            yield Finding(
                f"sequence.{short(one.schema, one.name)}",
                severity,
                f"role {patient.role} may {', '.join(surplus)} on sequence {name}, which no tenant needs",
                f"REVOKE {', '.join(surplus)} ON SEQUENCE {name} FROM {patient.holders};",
                next(shown for verb, shown in SHOWN.items() if verb in surplus).replace("{}", name),
            )


def _surplus(patient: Patient, one: SequenceGrant) -> list[str]:
    drawn = one.behind or patient.world.policy.sequences.get((one.schema, one.name)) == "shared"
    return [verb for verb in one.privileges if verb != "USAGE" or not drawn]


def default_findings(patient: Patient) -> Iterator[Finding]:
    """`defaults.schema`: tables and sequences that are made from now on are given to the role with more than a tenant
    needs, or to everybody.
    """
    by_schema: dict[str, list[tuple[DefaultGrant, list[str]]]] = {}
    for one in patient.examination.defaults:
        surplus = [verb for verb in one.privileges if not one.grantee or verb not in NEEDED[one.kind]]
        if surplus:
            by_schema.setdefault(one.schema, []).append((one, surplus))
    for schema, many in by_schema.items():
        told = "; ".join(
            f"{', '.join(verbs)} on {one.kind.lower()} of {identifier(one.maker)} to {_to(one)}" for one, verbs in many
        )
        where = f"schema {identifier(schema)}" if schema else "any schema"
        yield Finding(
            f"defaults.{schema or '*'}",
            "warning",
            f"what will be made in {where} is given away: {told}",
            " ".join(_revoked(one, verbs) for one, verbs in many),
            f"{_use(*many[0])} -- that is made next",
        )


def _use(one: DefaultGrant, verbs: list[str]) -> str:
    if one.kind == "SEQUENCES":
        return SHOWN["USAGE"].partition(" -- ")[0].replace("{}", "a_table")
    return "TRUNCATE a_table" if "TRUNCATE" in verbs else "SELECT * FROM a_table"


def _to(one: DefaultGrant) -> str:
    return identifier(one.grantee) if one.grantee else "PUBLIC"


def _revoked(one: DefaultGrant, verbs: list[str]) -> str:
    where = f" IN SCHEMA {identifier(one.schema)}" if one.schema else ""
    return (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {identifier(one.maker)}{where}"
        f" REVOKE {', '.join(verbs)} ON {one.kind} FROM {_to(one)};"
    )
