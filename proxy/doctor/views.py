"""Views that a rule calls verified, looked at as far as that can be done by looking: the word is the operator's.

Told is what can be seen to be wrong in the view's own query; that nothing is told proves nothing (decision 0004), for
the query may read other views, or throw. Source: isolation.md 1.1, rows "views" and "materialized view".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from proxy.catalog.finding import Finding, identifier
from proxy.catalog.model import Relation
from proxy.doctor.patient import Patient, full, short
from proxy.errors import Refusal
from proxy.sql.aliases import strings
from proxy.sql.parse import parse, walk

SIZE = 1 << 24  # bytes of a definition


def verified_findings(patient: Patient) -> Iterator[Finding]:
    """`view.name`: a rule calls it verified, and its query mixes tenants before the predicate is put above it."""
    for relation, seen in patient.relations():
        if seen is None or seen.access != "view" or seen.column is None or not patient.may(relation, "SELECT"):
            continue
        doubts = list(dict.fromkeys(_doubts(patient, relation, seen.column.number - 1)))
        if doubts:
            view, own = full(relation), identifier(seen.column.name)
            yield Finding(
                f"view.{short(relation.schema, relation.name)}",
                "warning",
                f"{view} is verified by a rule, and {'; '.join(doubts)}",
                f"REVOKE ALL ON {view} FROM {patient.holders}; -- until it is mended, or else take its rule away",
                f"SELECT * FROM {view} WHERE {own} = 'own' -- what others have shows in it",
            )


def _doubts(patient: Patient, relation: Relation, place: int) -> Iterator[str]:
    """place: of the tenant column, from 0."""
    try:
        statements = parse(relation.definition.encode(), size_limit=SIZE, server_major=patient.catalog.major)
    except Refusal:
        yield "its query cannot be read"
        return
    read = (patient.catalog.relations_by_oid.get(one) for one in relation.reads)
    seen = (patient.world.relation(one.schema, one.name) for one in read if one is not None)
    tenants = {one.column.name for one in seen if one is not None and one.column is not None}
    for statement in statements:
        yield from _of_select(statement.tree.get("SelectStmt", {}), place, tenants)


def _of_select(select: dict[str, Any], place: int, tenants: Collection[str]) -> Iterator[str]:
    if "limitCount" in select or "limitOffset" in select:
        yield "LIMIT or OFFSET choose among the rows of all tenants"
    if "larg" in select:
        yield from _of_select(select["larg"], place, tenants)
        yield from _of_select(select["rarg"], place, tenants)
        return
    targets = select.get("targetList", ())
    value = targets[place]["ResTarget"]["val"] if place < len(targets) else {}
    if not _names(value, tenants):
        yield "its tenant column is not that of a table of tenants"
    chosen = [one for one in select.get("distinctClause", ()) if one]
    if chosen and not any(_names(one, tenants) for one in chosen):
        yield "DISTINCT ON chooses among the rows of all tenants"
    windows = [body.get("over", {}) for kind, body in walk(targets) if kind == "FuncCall" and "over" in body]
    windows = [one for one in windows if "name" not in one]
    windows += [one["WindowDef"] for one in select.get("windowClause", ())]
    if any(not any(_names(part, tenants) for part in one.get("partitionClause", ())) for one in windows):
        yield "a window is over the rows of all tenants"


def _names(node: dict[str, Any], tenants: Collection[str]) -> bool:
    """Is it nothing but a column of such a name?"""
    return bool({*strings(node.get("ColumnRef", {}).get("fields", ()))[-1:]} & {*tenants})
