"""Keys that hold over all tenants, and foreign keys that lead from one to another.

Whoever may write such a key's columns learns from 23505, 23503 or 23P01 what others have. The proxy refuses those
statements (decision 0003); the DDL makes them mean what they would on a private database. Source: isolation.md 3.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.catalog.examination import Index
from proxy.catalog.finding import Finding, Severity, identifier
from proxy.catalog.model import Column, ForeignKey, Key, Relation
from proxy.doctor.patient import Patient, columns_of, full, short


def key_findings(patient: Patient) -> Iterator[Finding]:
    """`keys.relation`: one for each table with keys that lack the tenant column and that the role may write."""
    for relation, column in patient.confined():
        lacking = _lacking(patient, relation, column)
        if not lacking or not patient.may(relation, "INSERT", "UPDATE"):
            continue
        names = _named(relation, lacking)
        chosen = [one for one in lacking if not _drawn(relation, one[0])]
        led_to = any(_leading(patient, relation, one) for one, _ in lacking)  # its DDL goes before theirs
        severity: Severity = "critical" if chosen or led_to else "warning"
        key, index = (chosen or lacking)[0]
        yield Finding(
            f"keys.{short(relation.schema, relation.name)}",
            severity,
            f"keys of {full(relation)} hold over all tenants: {names}",
            _mended(patient, relation, column, lacking),
            _insert(relation, column, index.columns, "" if chosen else " OVERRIDING SYSTEM VALUE")
            + f" -- {'23P01' if key.kind == 'x' else '23505'} tells that another tenant has it",
        )


def distribution_findings(patient: Patient) -> Iterator[Finding]:
    """`distribution.relation`: such keys where the role may not write. They tell nothing, but with them the table can
    have neither a partition for each tenant nor a tenant column by which Citus distributes it.
    """
    for relation, column in patient.confined():
        lacking = _lacking(patient, relation, column)
        registry = any(key.columns == (column.number,) for key in relation.keys)  # every node has a copy of that
        if lacking and not registry and not patient.may(relation, "INSERT", "UPDATE"):
            yield Finding(
                f"distribution.{short(relation.schema, relation.name)}",
                "advice",
                f"{full(relation)} cannot be distributed by its tenant column: {_named(relation, lacking)}",
                _mended(patient, relation, column, lacking),
                f"CREATE TABLE another (LIKE {full(relation)} INCLUDING ALL) PARTITION BY HASH"
                f" ({identifier(column.name)}) -- 0A000, as SELECT create_distributed_table(…) of Citus has it",
            )


def _lacking(patient: Patient, relation: Relation, column: Column) -> list[tuple[Key, Index]]:
    """The keys without the tenant column; a partition's are told of its parent."""
    indexes = {one.name: one for one in patient.examination.indexes.get(relation.oid, ()) if not one.inherited}
    return [
        (key, indexes[key.name]) for key in relation.keys if column.number not in key.columns and key.name in indexes
    ]


def _mended(patient: Patient, relation: Relation, column: Column, lacking: list[tuple[Key, Index]]) -> str:
    """The DDL that widens the keys; for one that others' tenant columns lead to, that nobody may write there."""
    for key, _ in lacking:
        for other, foreign in _leading(patient, relation, key):
            seen = patient.world.relation(other.schema, other.name)
            if seen is not None and seen.column is not None and foreign.columns == (seen.column.number,):
                return f"REVOKE INSERT, UPDATE ON {full(relation)} FROM {patient.holders};"
    return " ".join(line for one in lacking for line in _widened(patient, relation, column, *one))


def _named(relation: Relation, lacking: list[tuple[Key, Index]]) -> str:
    return ", ".join(f"{one.name} ({_listed(relation, one)})" for _, one in lacking)


def _listed(relation: Relation, index: Index) -> str:
    return ", ".join(columns_of(relation, index.columns)) or "an expression"


def _insert(relation: Relation, column: Column, numbers: tuple[int, ...], how: str = "") -> str:
    """An INSERT of the tenant's own key and of guesses."""
    guessed = columns_of(relation, numbers) or ("…",)
    values = ", ".join(["'own'", *("'a guess'" for _ in guessed)])
    return f"INSERT INTO {full(relation)} ({', '.join([identifier(column.name), *guessed])}){how} VALUES ({values})"


def _drawn(relation: Relation, key: Key) -> bool:
    """Are its values drawn by the server alone?"""
    always = {one.number for one in relation.columns if one.identity == "a"}
    return bool(key.columns) and set(key.columns) <= always


def _widened(patient: Patient, relation: Relation, column: Column, key: Key, index: Index) -> Iterator[str]:
    """The DDL that puts the tenant column first, and brings the foreign keys along that lead to it."""
    table, name, own = full(relation), identifier(key.name), identifier(column.name)
    if not index.key:
        yield f"DROP INDEX {identifier(relation.schema)}.{name};"
        yield f"{_with_column(index.definition, own)};"
        return
    leading = _leading(patient, relation, key)
    for other, foreign in leading:
        yield f"ALTER TABLE {full(other)} DROP CONSTRAINT {identifier(foreign.name)};"
    if key.kind == "x":
        yield f"CREATE EXTENSION IF NOT EXISTS btree_{index.method};"
        own += " WITH ="
    yield (f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {_with_column(index.key, own)};")
    for other, foreign in leading:
        yield from _paired(patient, other, foreign)


def _leading(patient: Patient, relation: Relation, key: Key) -> list[tuple[Relation, ForeignKey]]:
    """The foreign keys that lead to a key, each with its table."""
    return [
        (other, foreign)
        for other, foreign in patient.leading.get(relation.oid, ())
        if set(foreign.referenced_columns) == set(key.columns)
    ]


def _with_column(definition: str, column: str) -> str:
    """An index's or constraint's definition with a column before its first."""
    head, bracket, rest = definition.partition("(")
    return f"{head}{bracket}{column}, {rest}"


def foreign_key_findings(patient: Patient) -> Iterator[Finding]:
    """`fk.relation`: one for each table with foreign keys to tenants' tables that do not pair the tenant columns."""
    for relation, column in patient.confined():
        lacking = [one for one in relation.foreign_keys if _unpaired(patient, column, one)]
        if not lacking:
            continue
        first = lacking[0]
        target = patient.catalog.relations_by_oid[first.references]
        yield Finding(
            f"fk.{short(relation.schema, relation.name)}",
            "critical",
            f"foreign keys of {full(relation)} lead to other tenants' rows: {', '.join(one.name for one in lacking)}",
            " ".join(line for one in lacking for line in _repaired(patient, relation, one)),
            _insert(relation, column, first.columns)
            + f" -- passes where another tenant has that row in {full(target)}, else 23503",
        )


def _unpaired(patient: Patient, column: Column, key: ForeignKey) -> bool:
    """Does it lead to a table of tenants, and not from the tenant's own rows to the tenant's own rows?"""
    there = _column_there(patient, key)
    if key.columns == (column.number,):  # whose value nobody chooses
        return False
    return there is not None and (column.number, there.number) not in zip(
        key.columns, key.referenced_columns, strict=True
    )


def _column_there(patient: Patient, key: ForeignKey) -> Column | None:
    """The tenant column of the table that it leads to, if that is one of tenants."""
    target = patient.catalog.relations_by_oid.get(key.references)
    seen = None if target is None else patient.world.relation(target.schema, target.name)
    return seen.column if seen is not None and seen.access == "tenant" else None


def _repaired(patient: Patient, relation: Relation, key: ForeignKey) -> Iterator[str]:
    yield f"ALTER TABLE {full(relation)} DROP CONSTRAINT IF EXISTS {identifier(key.name)};"
    yield from _paired(patient, relation, key)


def _paired(patient: Patient, relation: Relation, key: ForeignKey) -> Iterator[str]:
    """The DDL that makes it anew with both tenant columns, where both tables have one."""
    seen, there = patient.world.relation(relation.schema, relation.name), _column_there(patient, key)
    definition = patient.examination.foreign_keys.get((relation.oid, key.name), "")
    if seen is None or seen.column is None or there is None or not definition:
        return
    head, _, tail = definition.partition(" REFERENCES ")
    head, tail = _with_column(head, identifier(seen.column.name)), _with_column(tail, identifier(there.name))
    own = ", ".join(columns_of(relation, key.columns))  # or the tenant column would be set as well
    tail = re.sub(r"ON DELETE (SET NULL|SET DEFAULT)(?! \()", rf"ON DELETE \1 ({own})", tail)
    yield f"ALTER TABLE {full(relation)} ADD CONSTRAINT {identifier(key.name)} {head} REFERENCES {tail};"
