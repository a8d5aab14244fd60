"""What a client may see of the server's ErrorResponse and NoticeResponse: the fields a private database would send,
and no more.

Pure. DETAIL is kept unless it could tell of another tenant's row: of a unique or exclusion violation only where the
constraint's key holds
the tenant column, of a foreign key only where it carries it on both sides. A position is shown
where it is certainly that of the client's own text; internal query text never.
Source: PostgreSQL documentation, 55.8 "Error and Notice Message Fields".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from proxy.catalog.model import Catalog, ForeignKey, Relation
from proxy.sql.copied import CopyIn
from proxy.sql.copyerrors import in_clients_terms
from proxy.sql.lift import lift
from proxy.sql.locks import NOT_OBTAINED
from proxy.sql.plan import Forward, StatementKind
from proxy.sql.positions import client_position
from proxy.sql.sequences import in_clients_words
from proxy.tenancy.policy import Policy

HIDDEN = frozenset({"q", "p", "P"})  # of internal queries; P counts characters of the text that we sent
DEADLOCK, LOCK_NOT_AVAILABLE = "40P01", "55P03"
TUPLE = re.compile(r"^while .* tuple \(\d+,\d+\)", re.MULTILINE)  # places in a table that others fill too
UNIQUE_VIOLATION, EXCLUSION_VIOLATION, FOREIGN_KEY_VIOLATION = "23505", "23P01", "23503"


def answer(
    fields: Mapping[str, str],
    plan: Forward | None,
    catalog: Catalog,
    policy: Policy,
    text: bytes,
    keys: Mapping[str, str],
) -> dict[str, str]:
    """The fields that go to the client; `text` is what it sent, `plan` what became of it, None where that is not
    known; `keys`: the tenant's, which the plan was filled with.
    """
    if policy.isolation == "database":
        return of_own_database(fields, plan)
    if policy.isolation == "schema":
        return of_own_schema(fields, plan, keys, text)
    if plan is not None and isinstance(plan.copy, CopyIn):
        fields = in_clients_terms(fields, plan.copy, keys)
    shown = {name: value for name, value in fields.items() if name not in HIDDEN}
    for name in shown.keys() & {"M", "D"}:
        shown[name] = in_clients_words(shown[name], policy)
    if "D" in shown and fields.get("C", "").startswith("23") and not _own_detail(fields, catalog, policy):
        del shown["D"]
    if fields.get("C") == DEADLOCK:
        shown.pop("D", None)  # it names processes and locks of the server
    if plan is not None and plan.kind is StatementKind.LOCK and NOT_OBTAINED in fields.get("M", ""):
        words = fields["M"][fields["M"].index(NOT_OBTAINED) : -1]
        return {**{name: shown[name] for name in "SV" if name in shown}, "C": LOCK_NOT_AVAILABLE, "M": words}
    if "W" in shown and TUPLE.search(shown["W"]):
        shown["W"] = "\n".join(line for line in shown["W"].split("\n") if not TUPLE.search(line))
        if not shown["W"]:
            del shown["W"]
    if plan is not None and "P" in fields:
        position = client_position(fields["P"], plan, keys, lift(text), text)
        if position is not None:
            shown["P"] = position
    return shown


def of_own_schema(
    fields: Mapping[str, str], plan: Forward | None, keys: Mapping[str, str], text: bytes
) -> dict[str, str]:
    """All of it but what numbers the server's processes: rows and code that it tells of are the tenant's own."""
    if plan is None or plan.begins is not None:
        shown = of_own_database(fields, plan)
    else:
        shown = {name: value for name, value in fields.items() if name != "P"}
        position = client_position(fields["P"], plan, keys, lift(text), text) if "P" in fields else None
        if position is not None:
            shown["P"] = position
    if fields.get("C") == DEADLOCK:
        shown.pop("D", None)
    return shown


def of_own_database(fields: Mapping[str, str], plan: Forward | None) -> dict[str, str]:
    """All of it: whatever the server tells is the tenant's own. The position counts in what the client sent."""
    shown = dict(fields)
    if "P" in shown:
        if plan is None or plan.begins is None:
            del shown["P"]
        else:
            position = int(shown["P"])
            behind, more = plan.shift
            shown["P"] = str(position + plan.begins + (more if position > behind else 0))
    return shown


def _own_detail(fields: Mapping[str, str], catalog: Catalog, policy: Policy) -> bool:
    """Does the DETAIL of this constraint violation speak of the tenant's own rows only?"""
    if fields.get("s", "").startswith("pg_temp_"):
        return True  # a temporary table has no rows but the session's
    relation = catalog.relations.get((fields.get("s", ""), fields.get("t", "")))
    if relation is None:
        return False
    code, name = fields["C"], fields.get("n", "")
    if code in {UNIQUE_VIOLATION, EXCLUSION_VIOLATION}:
        number = _tenant_column(relation, catalog, policy)
        return any(number in key.columns for key in relation.keys if key.name == name)
    if code == FOREIGN_KEY_VIOLATION:
        return any(_carries(owner, key, catalog, policy) for owner, key in _foreign_keys(name, relation, catalog))
    return True  # NOT NULL and CHECK print the failing row, which is the client's own


def _tenant_column(relation: Relation, catalog: Catalog, policy: Policy) -> int | None:
    """The attnum of the column that confines a relation; None where there is none."""
    rule = policy.relations.get((relation.schema, relation.name))
    name = rule.tenant_column if rule is not None and rule.tenant_column is not None else policy.tenant_column
    column = relation.column(name)
    if column is not None:
        return column.number
    for parent in relation.parents:
        above = catalog.relations_by_oid.get(parent)
        rule = None if above is None else policy.relations.get((above.schema, above.name))
        column = None if rule is None or rule.tenant_column is None else relation.column(rule.tenant_column)
        if column is not None:
            return column.number
    return None


def _carries(owner: Relation, key: ForeignKey, catalog: Catalog, policy: Policy) -> bool:
    """Does a foreign key carry the tenant column on both sides, or lead to a relation without one?"""
    referenced = catalog.relations_by_oid.get(key.references)
    if referenced is None:
        return False
    there, here = _tenant_column(referenced, catalog, policy), _tenant_column(owner, catalog, policy)
    return there is None or any((here, there) == pair for pair in zip(key.columns, key.referenced_columns, strict=True))


def _foreign_keys(name: str, relation: Relation, catalog: Catalog) -> list[tuple[Relation, ForeignKey]]:
    """The constraint of that name on the relation, or on one that references it: the server names either."""
    return [
        (one, key)
        for one in catalog.relations.values()
        for key in one.foreign_keys
        if key.name == name and relation.oid in {one.oid, key.references}
    ]
