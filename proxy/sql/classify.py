"""What a statement is, what it does to the session, and whether its kind may be used at all: a total table over
statement nodes.

A kind that is not in the table is refused. Verbs that a tenant may not use (forbidden.py) are 42501, with a HINT that
says the way out. Nothing here looks at relations or functions, but for the two calls that are
session commands in disguise. A session's own two-part setting
taints the server connection: once set, its name stays there with the value '' until the connection ends, and would
tell that it was used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from proxy.errors import FeatureNotSupported, InsufficientPrivilege, Refusal
from proxy.sql import cursors, explaining, prepared, temporary
from proxy.sql.classified import Classified, Node
from proxy.sql.fields import check_fields
from proxy.sql.forbidden import FORBIDDEN
from proxy.sql.locks import BLOCK
from proxy.sql.nodes import Nodes
from proxy.sql.parse import GROWING, Statement
from proxy.sql.plan import (
    ADVISORY_LOCK,
    NO_EFFECTS,
    Answer,
    AnswerKind,
    Effects,
    Forward,
    SettingEffect,
    StatementKind,
    Template,
    TransactionVerb,
)
from proxy.sql.search_path import BARE, of_a_dump, search_path, set_tree
from proxy.sql.settings import allowed_setting, may_call, own, pinned_value, settable, showable
from proxy.sql.show_all import show_all, show_name

OFFSET = re.compile(r"[+-]?[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?")
SET_HINT = "Only settings that do not change what a statement may see can be set."


def classify(statement: Statement, bare: bool = False) -> Classified:
    """The kind, or a Refusal. `bare`: the session's search path is empty."""
    nodes = Nodes(statement.tree)
    check_fields(nodes)
    ((name, body),) = statement.tree.items()
    if bare and name == "VariableSetStmt":
        dumped = of_a_dump(body)
        if dumped is not None:
            return dumped
    query = QUERIES.get(name)
    if query is not None:
        return query(nodes, body)
    handler = HANDLERS.get(name)
    if handler is not None:
        return handler(statement.tree, body)
    if name not in FORBIDDEN:
        raise FeatureNotSupported("this statement is not supported", hint="Ask for a newer version of the proxy.")
    what, hint = FORBIDDEN[name]
    raise InsufficientPrivilege(f"permission denied to {what}", hint=hint)


def kind_of(statement: Statement) -> StatementKind:
    """The kind for metrics, also of what is refused."""
    return KINDS.get(next(iter(statement.tree)), StatementKind.DDL)


# ---------------------------------------------------------------------------------------------- queries


def _select(nodes: Nodes, body: Node) -> Classified:
    tree = nodes.tree
    if nodes.of("IntoClause"):
        return classify(Statement(temporary.select_into(tree), 0, 0))
    call = only_call(body)
    if call is not None and _function(call) == "pg_advisory_unlock_all" and not call.get("args"):
        answer = Answer(StatementKind.SELECT, AnswerKind.ADVISORY_UNLOCK_ALL, _label(body, "pg_advisory_unlock_all"))
        return Classified(StatementKind.SELECT, tree, Effects(unpins=(ADVISORY_LOCK,)), answer)
    effects = NO_EFFECTS
    if not WRITING.isdisjoint(nodes.by_kind):
        effects = Effects(writes=True, grows=not GROWING.isdisjoint(nodes.by_kind))
    settings = tuple(setting_calls(tree).values())
    if settings:
        effects = Effects(settings=settings, taints=any(own(one.name) for one in settings))
    return Classified(StatementKind.SELECT, tree, effects, nodes=nodes)


def _dml(kind: StatementKind) -> Callable[[Nodes, Node], Classified]:
    def classified(nodes: Nodes, body: Node) -> Classified:
        grows = not GROWING.isdisjoint(nodes.by_kind)
        return Classified(kind, nodes.tree, Effects(writes=True, grows=grows, positioned=cursor_of(body)), nodes=nodes)

    return classified


def cursor_of(body: Node) -> str | None:
    """The cursor of UPDATE or DELETE ... WHERE CURRENT OF."""
    name: str | None = body.get("whereClause", {}).get("CurrentOfExpr", {}).get("cursor_name")
    return name


def _copy(tree: Node, body: Node) -> Classified:
    """Its form is settled with the catalog at hand (copy.py); here only what its query does to the session."""
    query = body.get("query")
    if query is None:
        takes = bool(body.get("is_from", False))
        return Classified(StatementKind.COPY, tree, Effects(writes=takes, grows=takes))
    if "intoClause" in query.get("SelectStmt", {}):
        raise FeatureNotSupported("COPY (SELECT INTO) is not supported")
    inner = classify(Statement(query, 0, 0))
    if inner.answer is not None or inner.effects.settings:
        raise FeatureNotSupported("this query is not supported in COPY", hint="Send it by itself.")
    return Classified(StatementKind.COPY, tree, inner.effects)


def _create_as(tree: Node, body: Node) -> Classified:
    found = temporary.create_as(tree, body)
    return Classified(found.kind, *prepared.unnamed(tree)) if "ExecuteStmt" in body["query"] else found


WRITING = frozenset({"LockingClause", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})


def only_call(select: Node) -> Node | None:
    """The function call of SELECT f(…) without any other clause, or None."""
    calls = _calls(select)
    return calls[0] if len(calls) == 1 and len(select["targetList"]) == 1 else None


def _calls(select: Node) -> list[Node]:
    """The plain function calls among the targets of a SELECT that has no other clause."""
    if set(select) - {"targetList", "limitOption", "op"}:
        return []
    values = [one.get("ResTarget", {}).get("val", {}).get("FuncCall") for one in select.get("targetList", ())]
    return [one for one in values if one is not None and not set(one) - {"funcname", "args", "funcformat", "location"}]


def setting_calls(tree: Node, may: Callable[[str, str | None], bool] = may_call) -> dict[int, SettingEffect]:
    """What SELECT set_config('name', 'value' or $n, bool), … sets, by the byte offset of each call; a Refusal when it
    `may` not be set.
    """
    found = {}
    for call in _calls(tree.get("SelectStmt", {"fromClause": 1})):
        if _function(call) != "set_config" or len(call.get("args", ())) != 3:
            continue
        name, value, local = (_constant(one) for one in call["args"])
        number = call["args"][1].get("ParamRef", {}).get("number")
        if not isinstance(name, str) or not isinstance(local, bool) or (number is None and not isinstance(value, str)):
            continue
        if name.lower() == "search_path" and value == "":
            found[call.get("location", 0)] = SettingEffect("search_path", BARE, local)
            continue
        if not may(name, None if number is not None else str(value)):
            raise _denied(name)
        text = None if number is not None else _quoted(str(value))
        found[call.get("location", 0)] = SettingEffect(name.lower(), text, local, number)
    return found


def _function(call: Node) -> str | None:
    names = [part["String"].get("sval", "") for part in call.get("funcname", ())]
    return names[-1] if names[:-1] in ([], ["pg_catalog"]) else None


def _label(select: Node, otherwise: str) -> str:
    return str(select["targetList"][0]["ResTarget"].get("name", otherwise))


# ---------------------------------------------------------------------------------------------- transactions

VERBS = {
    "TRANS_STMT_BEGIN": TransactionVerb.BEGIN,
    "TRANS_STMT_START": TransactionVerb.BEGIN,
    "TRANS_STMT_COMMIT": TransactionVerb.COMMIT,
    "TRANS_STMT_ROLLBACK": TransactionVerb.ROLLBACK,
    "TRANS_STMT_SAVEPOINT": TransactionVerb.SAVEPOINT,
    "TRANS_STMT_RELEASE": TransactionVerb.RELEASE,
    "TRANS_STMT_ROLLBACK_TO": TransactionVerb.ROLLBACK_TO,
}
CHARACTERISTICS = frozenset({"transaction_isolation", "transaction_read_only", "transaction_deferrable"})


def _transaction(tree: Node, body: Node) -> Classified:
    verb = VERBS.get(body.get("kind", ""))
    if verb is None:
        raise InsufficientPrivilege(
            "permission denied to use prepared transactions", hint="Use COMMIT: two-phase transactions are everybody's."
        )
    for one in body.get("options", ()):
        if one["DefElem"]["defname"] not in CHARACTERISTICS:
            raise FeatureNotSupported("this transaction option is not supported")
    effects = Effects(transaction=verb, savepoint=body.get("savepoint_name"), chain=bool(body.get("chain", False)))
    return Classified(StatementKind.TRANSACTION, tree, effects)


def _constraints(tree: Node, body: Node) -> Classified:
    return Classified(StatementKind.SETTING, tree)


# ---------------------------------------------------------------------------------------------- settings


def _set(tree: Node, body: Node) -> Classified:
    kind, name = body.get("kind"), body.get("name", "")
    local = bool(body.get("is_local", False))
    if kind == "VAR_RESET_ALL":
        sent = Forward(StatementKind.SETTING, Template((b"RESET ALL",)), Effects(resets=True))
        return _answered(StatementKind.SETTING, tree, AnswerKind.RESET_ALL, sent=sent)
    if kind == "VAR_SET_MULTI":
        return _characteristics(tree, name, body)
    if not settable(name):
        raise _denied(name)
    lowered = name.lower()
    pinned = pinned_value(lowered)
    if kind in ("VAR_RESET", "VAR_SET_DEFAULT"):
        if pinned is not None:
            raise _denied(name)
        effects = Effects(settings=(SettingEffect(lowered, None, local),), taints=own(lowered))
        return Classified(StatementKind.SETTING, tree, effects, tag="RESET" if kind == "VAR_RESET" else None)
    if kind != "VAR_SET_VALUE":
        raise FeatureNotSupported("SET ... FROM CURRENT is not supported", hint="Name the value.")
    values = [_zone(one) if lowered == "timezone" else _value(one) for one in body.get("args", ())]
    if lowered == "search_path":
        found = search_path(tree, [value for value, _ in values], local)
        if found is None:
            raise _denied(name)
        return found
    if not allowed_setting(name, ", ".join(value for value, _ in values)):
        raise _denied(name)
    if pinned is not None:
        return Classified(StatementKind.SETTING, set_tree(lowered, pinned, local))
    effect = SettingEffect(lowered, ", ".join(text for _, text in values), local)
    return Classified(StatementKind.SETTING, tree, Effects(settings=(effect,), taints=own(lowered)))


def _characteristics(tree: Node, name: str, body: Node) -> Classified:
    options = [one.get("DefElem", {}) for one in body.get("args", ())]
    if name == "TRANSACTION SNAPSHOT" or any(one.get("defname") not in CHARACTERISTICS for one in options):
        raise InsufficientPrivilege(
            "permission denied to set a transaction snapshot", hint="Use one transaction instead of several."
        )
    if name == "TRANSACTION":
        return Classified(StatementKind.SETTING, tree)
    settings = []
    for one in options:
        value = _constant(one["arg"])
        text = ("on" if value else "off") if isinstance(value, int) else str(value)
        settings.append(SettingEffect(f"default_{one['defname']}", _quoted(text)))
    return Classified(StatementKind.SETTING, tree, Effects(settings=tuple(settings)))


def _show(tree: Node, body: Node) -> Classified:
    name = body.get("name", "")
    if name == "all":
        return Classified(StatementKind.SHOW, show_all(), tag="SHOW")
    if not showable(name):
        raise InsufficientPrivilege(
            f'permission denied to examine "{name}"', hint="SHOW ALL lists what a session may read."
        )
    if name.lower() == "application_name":
        return Classified(StatementKind.SHOW, show_name(), tag="SHOW")
    return Classified(StatementKind.SHOW, tree)


def _zone(node: Node) -> tuple[str, str]:
    """A value of SET TIME ZONE, which may be an interval of hours and minutes: the setting's own check reads one from
    a string (commands/variable.c).
    """
    cast = node.get("TypeCast")
    if cast is None:
        return _value(node)
    text = _constant(cast["arg"])
    if not isinstance(text, str) or OFFSET.fullmatch(text) is None:
        raise FeatureNotSupported("this value of SET TIME ZONE is not supported", hint="Write it as '-08:00'.")
    interval = f"INTERVAL {_quoted(text)}"
    return interval, _quoted(interval)


def _value(node: Node) -> tuple[str, str]:
    """A value of SET: as it is, and as it is written after TO."""
    value = _constant(node)
    if value is None or isinstance(value, bool):
        raise FeatureNotSupported("this value of SET is not supported", hint="Write it as a string.")
    return str(value), str(value) if isinstance(value, int) else _quoted(str(value))


def _constant(node: Node) -> str | int | bool | None:
    """A constant's value; None for anything else, NULL included."""
    body = node.get("A_Const")
    if body is None or body.get("isnull"):
        return None
    if "sval" in body:
        return str(body["sval"].get("sval", ""))
    if "ival" in body:
        return int(body["ival"].get("ival", 0))
    if "fval" in body:
        return str(body["fval"].get("fval", "0"))
    if "boolval" in body:
        return bool(body["boolval"].get("boolval", False))
    return None


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _denied(name: str) -> Refusal:
    return InsufficientPrivilege(f'permission denied to set parameter "{name}"', hint=SET_HINT)


# ---------------------------------------------------------------------------------------------- answered


def _answered(
    kind: StatementKind, tree: Node, answer: AnswerKind, argument: str = "", sent: Forward | None = None
) -> Classified:
    return Classified(kind, tree, answer=Answer(kind, answer, argument, sent=sent))


def _discard(tree: Node, body: Node) -> Classified:
    target = body.get("target", "DISCARD_ALL")
    if target == "DISCARD_ALL":
        sent = Forward(StatementKind.DISCARD, Template((b"DISCARD ALL",)), Effects(discards=True))
        return _answered(StatementKind.DISCARD, tree, AnswerKind.DISCARD_ALL, sent=sent)
    return Classified(StatementKind.DISCARD, tree, Effects(drops=("",)) if target == "DISCARD_TEMP" else NO_EFFECTS)


def _deallocate(tree: Node, body: Node) -> Classified:
    if body.get("isall"):
        return _answered(StatementKind.PREPARE, tree, AnswerKind.DEALLOCATE_ALL)
    return _answered(StatementKind.PREPARE, tree, AnswerKind.DEALLOCATE, body.get("name", ""))


def _channel(tree: Node, body: Node) -> Classified:
    return Classified(StatementKind.NOTIFY, tree)


QUERIES: Mapping[str, Callable[[Nodes, Node], Classified]] = {
    "SelectStmt": _select,
    "InsertStmt": _dml(StatementKind.INSERT),
    "UpdateStmt": _dml(StatementKind.UPDATE),
    "DeleteStmt": _dml(StatementKind.DELETE),
    "MergeStmt": _dml(StatementKind.MERGE),
    "TruncateStmt": _dml(StatementKind.DELETE),
}

HANDLERS: Mapping[str, Callable[[Node, Node], Classified]] = {
    "CopyStmt": _copy,
    "ExplainStmt": explaining.explain,
    "TransactionStmt": _transaction,
    "ConstraintsSetStmt": _constraints,
    "VariableSetStmt": _set,
    "VariableShowStmt": _show,
    "DiscardStmt": _discard,
    "PrepareStmt": prepared.prepare,
    "ExecuteStmt": prepared.execute,
    "DeallocateStmt": _deallocate,
    "CreateStmt": temporary.create,
    "CreateTableAsStmt": _create_as,
    "DropStmt": temporary.drop,
    "IndexStmt": temporary.index,
    "DeclareCursorStmt": cursors.declare,
    "FetchStmt": cursors.fetch,
    "ClosePortalStmt": cursors.close,
    "ListenStmt": _channel,
    "NotifyStmt": _channel,
    "UnlistenStmt": _channel,
    "LockStmt": lambda tree, body: Classified(StatementKind.LOCK, tree, BLOCK),
}

KINDS: Mapping[str, StatementKind] = {
    "SelectStmt": StatementKind.SELECT,
    "InsertStmt": StatementKind.INSERT,
    "UpdateStmt": StatementKind.UPDATE,
    "DeleteStmt": StatementKind.DELETE,
    "MergeStmt": StatementKind.MERGE,
    "TruncateStmt": StatementKind.DELETE,
    "CopyStmt": StatementKind.COPY,
    "TransactionStmt": StatementKind.TRANSACTION,
    "ConstraintsSetStmt": StatementKind.SETTING,
    "VariableSetStmt": StatementKind.SETTING,
    "VariableShowStmt": StatementKind.SHOW,
    "DeclareCursorStmt": StatementKind.CURSOR,
    "FetchStmt": StatementKind.CURSOR,
    "ClosePortalStmt": StatementKind.CURSOR,
    "PrepareStmt": StatementKind.PREPARE,
    "ExecuteStmt": StatementKind.PREPARE,
    "DeallocateStmt": StatementKind.PREPARE,
    "ListenStmt": StatementKind.NOTIFY,
    "NotifyStmt": StatementKind.NOTIFY,
    "UnlistenStmt": StatementKind.NOTIFY,
    "DiscardStmt": StatementKind.DISCARD,
    "ExplainStmt": StatementKind.EXPLAIN,
    "LockStmt": StatementKind.LOCK,
    "DoStmt": StatementKind.OTHER,
    "CallStmt": StatementKind.OTHER,
}
