"""EXPLAIN by the rule `explain` of the database: refused, without costs, or as it is.

Promises: under `costs_off` nothing is printed that was counted over other tenants' rows: no estimates, and the
statement is not run, so no counters either. The shape of the plan still follows the statistics of all rows, and the
text shows the predicate that was put in. Under `allowed` a tenant reads the estimates and, with ANALYZE, how many rows
of others were passed over: that is for databases where it does not matter. Source: isolation.md 1.3 and 3.9.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxy.errors import FeatureNotSupported, SyntaxRefused
from proxy.sql.classified import Classified
from proxy.sql.parse import CHANGES, GROWING, walk
from proxy.sql.plan import Effects, StatementKind
from proxy.sql.prepared import unnamed
from proxy.sql.wrapped import QUERIES
from proxy.tenancy.policy import Policy

Node = dict[str, Any]
OPTIONS = frozenset({
    "analyze", "verbose", "costs", "settings", "generic_plan", "buffers", "serialize", "wal", "timing", "summary",
    "memory", "format",
})  # fmt: skip
COUNTED = "It would count everybody's objects."  # of catalogs, where each tenant has a schema
HARMLESS = frozenset({"verbose", "format"})
COSTS_OFF: Node = {
    "defname": "costs",
    "arg": {"String": {"sval": "off"}},
    "defaction": "DEFELEM_UNSPEC",
    "location": -1,
    "arg_location": -1,
}
OFF = ("off", "false", "no", "0")


def explain(tree: Node, body: Node) -> Classified:
    """With ANALYZE it does what the statement does; so does it with EXECUTE, as far as anybody knows here."""
    if "ExecuteStmt" in body["query"]:
        changed, effects = unnamed(tree)
        executes = effects.executes and replace(effects.executes, explained=True)
        return Classified(StatementKind.EXPLAIN, changed, replace(effects, executes=executes))
    names = {name for name, _ in walk(tree)}
    if names.isdisjoint(CHANGES):
        return Classified(StatementKind.EXPLAIN, tree)
    return Classified(StatementKind.EXPLAIN, tree, Effects(writes=True, grows=not names.isdisjoint(GROWING)))


def explained(tree: Node, policy: Policy) -> Node:
    """The EXPLAIN that is sent; a Refusal where the rule does not allow it."""
    body = tree["ExplainStmt"]
    if policy.explain == "refused":
        raise FeatureNotSupported(
            "EXPLAIN is not allowed on this database",
            hint="Ask the operator: a plan tells of other tenants' rows.",
        )
    if not (QUERIES | {"ExecuteStmt"}) & set(body["query"]):
        raise FeatureNotSupported("EXPLAIN of this statement is not supported", hint="Explain the query in it.")
    options = [one["DefElem"] for one in body.get("options", ())]
    for one in options:
        if one["defname"] not in OPTIONS:
            raise SyntaxRefused(f'unrecognized EXPLAIN option "{one["defname"]}"', location=one.get("location"))
    if policy.explain == "allowed":
        return tree
    kept: list[Node] = []
    for one in options:
        if one["defname"] in HARMLESS:
            kept.append({"DefElem": one})
        elif one["defname"] != "costs" and _value(one) not in OFF:
            raise FeatureNotSupported(
                f"EXPLAIN option {one['defname'].upper()} is not allowed on this database",
                hint="EXPLAIN without ANALYZE and without costs is allowed.",
            )
    return {"ExplainStmt": {**body, "options": [*kept, {"DefElem": COSTS_OFF}]}}


def _value(option: Node) -> str:
    """As defGetBoolean reads it: an option without a value is on."""
    arg = option.get("arg", {})
    for kind, name in (("String", "sval"), ("Integer", "ival"), ("Boolean", "boolval")):
        if kind in arg:
            return str(arg[kind].get(name, "0" if kind == "Integer" else "false" if kind == "Boolean" else "")).lower()
    return "on" if not arg else ""
