"""What each kind of statement does to the session of a tenant that has a database of its own.

Settings, prepared statements, cursors, channels and locks are tracked as in row mode. What is not known here by name
keeps the connection with the session until that ends (UNTRACKED): code, and every change of the schema, for what it
creates may be temporary, or code. Source: PostgreSQL documentation, DISCARD, for what a session has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from proxy.sql import cursors, prepared
from proxy.sql.classified import Classified
from proxy.sql.classify import HANDLERS as ROW
from proxy.sql.classify import KINDS, VERBS, setting_calls
from proxy.sql.nodes import Nodes
from proxy.sql.parse import CHANGES, GROWING
from proxy.sql.plan import UNTRACKED, Answer, AnswerKind, Effects, StatementKind
from proxy.sql.whole.calls import Known
from proxy.sql.whole.settings import SEED, leaves_name, may_call, set_statement

Node = dict[str, Any]
Handler = Callable[[Node, Node], Classified]
LISTEN = "listen"  # the reason to pin
SETTINGS = "pg_settings"  # UPDATE of it is SET

# Statements that leave in a session only what their calls leave.
PLAIN = frozenset({
    "ClusterStmt", "CopyStmt", "DeleteStmt", "ExplainStmt", "InsertStmt", "LockStmt", "MergeStmt", "RefreshMatViewStmt",
    "ReindexStmt", "SelectStmt", "TruncateStmt", "UpdateStmt", "VacuumStmt",
})  # fmt: skip
MAKING = frozenset({"CreateTableAsStmt", "IndexStmt", "RefreshMatViewStmt"})
QUERIES = frozenset({"SelectStmt", "ExplainStmt"})
ADDS_ROWS = frozenset({"InsertStmt", "MergeStmt", "CopyStmt"})  # whose defaults may draw from sequences


def effects_of(tree: Node, known: Known) -> Classified:
    """The kind, and what it does; an Answer where the proxy replies itself. A Refusal for what no session may do."""
    ((name, body),) = tree.items()
    handler = HANDLERS.get(name)
    if handler is not None:
        return handler(tree, body)
    kind = KINDS.get(name, StatementKind.DDL)
    nodes = Nodes(tree)
    statements = {one for one in nodes.by_kind if one.endswith("Stmt")}
    if "ExecuteStmt" in statements:
        changed, executing = prepared.unnamed(tree)
        effects = replace(known.effects(tree), executes=executing.executes)  # the arguments may call
        if not statements <= PLAIN | {"ExecuteStmt"}:
            effects = replace(effects, pins=UNTRACKED, writes=True)
        return Classified(kind, changed, effects)
    if name == "DeclareCursorStmt":
        cursor = cursors.declare(tree, body)
        calls = known.effects(tree)
        return Classified(kind, tree, Effects(declares=cursor.effects.declares, pins=calls.pins))
    made = nodes.of("IntoClause") or statements & MAKING
    grows = bool(made or statements & GROWING or ("CopyStmt" in statements and body.get("is_from")))
    if not statements <= PLAIN or nodes.of("IntoClause"):
        return Classified(kind, tree, replace(known.effects(tree), pins=UNTRACKED, writes=True, grows=grows))
    if any(_names(body, SETTINGS) for one in CHANGES & statements for body in nodes.of(one)):
        return Classified(kind, tree, Effects(pins=UNTRACKED, writes=True))
    effects = known.effects(tree)
    settings = setting_calls(tree, may_call)
    if settings:
        every = {one.get("location", 0) for one in nodes.of("FuncCall")}
        values = tuple(one for one in settings.values() if one.name != SEED)
        pins = None if every == settings.keys() and len(values) == len(settings) else UNTRACKED
        taints = any(leaves_name(one.name) for one in values)
        return Classified(kind, tree, Effects(settings=values, taints=taints, pins=pins))
    writes = bool(statements & CHANGES) or name not in QUERIES
    draws = bool(statements & ADDS_ROWS) and effects.pins is None
    if writes:
        effects = replace(effects, writes=True, draws=draws, grows=grows)
    return Classified(kind, tree, effects)


def _names(body: Node, relation: str) -> bool:
    """Does a statement change this relation?"""
    return bool(body.get("relation", {}).get("relname") == relation)


def _transaction(tree: Node, body: Node) -> Classified:
    """PREPARE TRANSACTION ends one like COMMIT; what was prepared ends without the session."""
    verb = VERBS.get(body.get("kind", ""))
    effects = Effects(transaction=verb, savepoint=body.get("savepoint_name"), chain=bool(body.get("chain", False)))
    return Classified(StatementKind.TRANSACTION, tree, effects if verb is not None else Effects(writes=True))


def _plain(kind: StatementKind) -> Handler:
    return lambda tree, body: Classified(kind, tree)


def _listen(tree: Node, body: Node) -> Classified:
    return Classified(StatementKind.NOTIFY, tree, Effects(pins=LISTEN))


def _unlisten(tree: Node, body: Node) -> Classified:
    effects = Effects(unlistens="conditionname" not in body)
    sent = Classified(StatementKind.NOTIFY, tree, effects)
    return replace(sent, answer=Answer(StatementKind.NOTIFY, AnswerKind.UNLISTEN))


HANDLERS: Mapping[str, Handler] = {
    "TransactionStmt": _transaction,
    "VariableSetStmt": set_statement,
    "VariableShowStmt": _plain(StatementKind.SHOW),
    "ConstraintsSetStmt": _plain(StatementKind.SETTING),
    "DiscardStmt": ROW["DiscardStmt"],
    "PrepareStmt": prepared.prepare,
    "DeallocateStmt": ROW["DeallocateStmt"],
    "FetchStmt": _plain(StatementKind.CURSOR),
    "ClosePortalStmt": cursors.close,
    "ListenStmt": _listen,
    "UnlistenStmt": _unlisten,
    "NotifyStmt": lambda tree, body: Classified(StatementKind.NOTIFY, tree, Effects(notifies=True)),
}
