"""Tenant columns that cannot keep tenants apart: they may be NULL, or two tenants' values may be equal.

A table with such a column is hidden from tenants. What is told here is what the role could do with it at the server,
and what makes it a table of tenants. Source: isolation.md 2.2 and 4.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.catalog.finding import Finding, identifier
from proxy.catalog.model import Column, Relation
from proxy.doctor.patient import Patient, full, short
from proxy.sql.walls import STORED
from proxy.sql.world import KEY_TYPES

NULLABLE = "is nullable"
UNFIT = (NULLABLE, "has no leakproof equality", "is not deterministic")


def column_findings(patient: Patient) -> Iterator[Finding]:
    """`column.relation`: a rule or its column would make it a tenant's, and its tenant column cannot confine."""
    reasons = patient.world.hidden_reasons
    for relation, _ in patient.relations():
        why = reasons.get((relation.schema, relation.name))
        if why is None or why == STORED or (relation.schema, relation.name) in patient.world.unwalled:
            continue
        table, column = full(relation), _tenant_column(patient, relation)
        if column is None or not why.endswith(UNFIT):
            remedy = "give it a rule that fits, or hide it by rule"
            attack = f"SELECT * FROM {table} -- shows the role everything, and tenants nothing"
        elif why.endswith(NULLABLE):
            remedy = _not_null(patient, relation, column)
            attack = (
                f"INSERT INTO {table} ({identifier(column.name)}) VALUES (NULL) -- nobody's, and no key holds for it"
            )
        else:
            remedy = _typed(patient, relation, column)
            attack = f"SELECT * FROM {table} WHERE {identifier(column.name)} = 'own' -- is true of others' values, too"
        text = f"{table} is hidden: {why}"
        yield Finding(f"column.{short(relation.schema, relation.name)}", "warning", text, remedy, attack)


def _tenant_column(patient: Patient, relation: Relation) -> Column | None:
    policy = patient.world.policy
    rule = policy.relations.get((relation.schema, relation.name))
    fits = rule is None or (rule.access == "tenant" and relation.kind in "rp") or rule.access == "view"
    return relation.column((rule and rule.tenant_column) or policy.tenant_column) if fits else None


def _not_null(patient: Patient, relation: Relation, column: Column) -> str:
    every = (relation, *patient.world.descendants(relation))
    return " ".join(
        f"ALTER TABLE {full(one)} ALTER COLUMN {identifier(column.name)} SET NOT NULL;"
        for one in every
        if one.kind in "rp"
    )


def _typed(patient: Patient, relation: Relation, column: Column) -> str:
    """The DDL that gives the column a type of which the server says that its equality tells nothing. A domain becomes
    what it is over, everything else text of the database's own collation, so that only the same text is the same.
    """
    if relation.kind in "vm":
        return "cast the column to text in its definition"
    found = patient.catalog.types.get(column.type)
    base = KEY_TYPES.get(found.base, "") if found is not None and found.kind == "d" else ""
    kind = base or 'text COLLATE "default"'
    name = identifier(column.name)
    top = relation
    while parents := [patient.catalog.relations_by_oid[one] for one in top.parents if _has(patient, one, column)]:
        top = parents[0]  # whose columns its children have
    return f"ALTER TABLE {full(top)} ALTER COLUMN {name} TYPE {kind} USING {name}::{kind.split()[0]};"


def _has(patient: Patient, oid: int, column: Column) -> bool:
    parent = patient.catalog.relations_by_oid.get(oid)
    return parent is not None and parent.column(column.name) is not None
