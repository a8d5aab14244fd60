"""Indexes that search other tenants' rows, tables without one that searches the tenant's own, and large tables.

They cost time and tell by time; no statement shows a row by them. Source: isolation.md 3.9.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.catalog.examination import Index
from proxy.catalog.finding import Finding, identifier
from proxy.catalog.model import Column, Relation
from proxy.doctor.patient import Patient, columns_of, full, short

LARGE = 1_000_000  # rows: from here on a partition for each tenant is worth a thought
WIDENED = {"btree": "", "gin": "btree_gin", "gist": "btree_gist"}  # what must be installed for a scalar column


def index_findings(patient: Patient) -> Iterator[Finding]:
    """`index.relation`: indexes without the tenant column. `scan.relation`: no index begins with it."""
    for relation, seen in patient.relations():
        if seen is None or seen.column is None or relation.kind not in "rpm":
            continue
        indexes = patient.examination.indexes.get(relation.oid, ())
        name, column = short(relation.schema, relation.name), seen.column
        probing = [one for one in indexes if not one.is_key and not one.inherited and column.number not in one.columns]
        if probing:
            yield Finding(
                f"index.{name}",
                "advice",
                f"indexes of {full(relation)} lack the tenant column: {', '.join(one.name for one in probing)}",
                " ".join(_widened(relation, column, one) for one in probing),
                _probe(relation, column, probing[0]) + " -- the time tells whether another tenant has it",
            )
        if not relation.is_partition and not any(_serves(one, column) for one in indexes):
            yield Finding(
                f"scan.{name}",
                "advice",
                f"no index of {full(relation)} begins with {identifier(column.name)}: all tenants' rows are read",
                f"CREATE INDEX ON {full(relation)} ({identifier(column.name)});",
                f"SELECT 1 FROM {full(relation)} WHERE {identifier(column.name)} = 'own'"
                " -- the time tells how many rows others have",
            )


def _probe(relation: Relation, column: Column, index: Index) -> str:
    """A question that the index answers by looking at everybody's entries."""
    searched = next(iter(columns_of(relation, index.columns)), "…")
    return f"SELECT 1 FROM {full(relation)} WHERE {identifier(column.name)} = 'own' AND {searched} = 'a guess'"


def _serves(index: Index, column: Column) -> bool:
    return index.valid and not index.partial and index.method == "btree" and index.columns[:1] == (column.number,)


def _widened(relation: Relation, column: Column, index: Index) -> str:
    dropped = f"DROP INDEX {identifier(relation.schema)}.{identifier(index.name)};"
    extension = WIDENED.get(index.method)
    if extension is None:  # it can have one column only
        return dropped
    head, bracket, rest = index.definition.partition("(")
    made = f"{head}{bracket}{identifier(column.name)}, {rest};"
    needed = f"CREATE EXTENSION IF NOT EXISTS {extension}; " if extension else ""
    return f"{dropped} {needed}{made}"


def partition_findings(patient: Patient) -> Iterator[Finding]:
    """`partition.relation`: so large that a partition for each tenant, with statistics of its own, may pay."""
    for relation, column in patient.confined():
        rows = patient.examination.rows.get(relation.oid, 0.0)
        if relation.kind == "r" and not relation.is_partition and not relation.parents and rows >= LARGE:
            table, own = full(relation), identifier(column.name)
            other = next((identifier(one.name) for one in relation.columns if one is not column), own)
            yield Finding(
                f"partition.{short(relation.schema, relation.name)}",
                "advice",
                f"{table} has {rows:.0f} rows: a tenant's plans follow the statistics of all of them",
                _in_parts(patient, relation, own),
                f"EXPLAIN SELECT 1 FROM {table} WHERE {own} = 'own' AND {other} = 'a guess'"
                " -- the rows that are expected are everybody's",
            )


def _in_parts(patient: Patient, relation: Relation, own: str) -> str:
    """The DDL that makes the table anew with a partition for a tenant, and one for the rest. It fails where a view or a
    foreign key leads to the table, before anything is lost.
    """
    table, schema = full(relation), identifier(relation.schema)
    old, part, rest = (f"{schema}.{identifier(relation.name + end)}" for end in ("_whole", "_own", "_others"))
    columns = ", ".join(identifier(one.name) for one in relation.columns if not one.generated)
    overriding = " OVERRIDING SYSTEM VALUE" if any(one.identity for one in relation.columns) else ""
    held = patient.may(relation)
    return (
        f"ALTER TABLE {table} RENAME TO {identifier(relation.name + '_whole')};"
        f" CREATE TABLE {table} (LIKE {old} INCLUDING ALL) PARTITION BY LIST ({own});"
        f" CREATE TABLE {part} PARTITION OF {table} FOR VALUES IN ('own');"
        f" CREATE TABLE {rest} PARTITION OF {table} DEFAULT;"
        f" INSERT INTO {table} ({columns}){overriding} SELECT {columns} FROM {old}; DROP TABLE {old};"
        + (f" GRANT {', '.join(held)} ON {table} TO {patient.given_to};" if held else "")
        + f" ANALYZE {table}; -- so for each large tenant; then make triggers, policies and foreign keys anew"
    )
