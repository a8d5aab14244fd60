"""The code of a function or block, for the verifier: which statements it consists of, and that nothing else is in it.

A body in SQL is parsed whole. Of one in PL/pgSQL the planner says where its SQL stands, and is not believed: what
remains of the text, token by token, has no verb of SQL, no operator, and no name with a point that is not one of the
body's own variables; so nothing that the server could look up is left out. What a statement in code may not have
besides is looked for by itself: values that become names. Shares nothing with sql/schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from proxy.catalog.model import Catalog
from proxy.errors import Refusal
from proxy.sql.parse import Token, parse, tokens_of, walk
from proxy.sql.verify.levels import Node, Unproven, strings
from proxy.sql.verify.names import NAMES

Spans = Sequence[tuple[str, Sequence[tuple[int, int]]]]

LANGUAGES = ("sql", "plpgsql")
OPTIONS = frozenset({
    "as", "cost", "language", "leakproof", "parallel", "rows", "security", "set", "strict", "volatility", "window",
})  # fmt: skip
NEVER_SET = frozenset({
    "client_encoding", "role", "row_security", "session_authorization", "session_replication_role",
    "standard_conforming_strings",
})  # fmt: skip
AROUND = {
    "collation": "SELECT '' COLLATE {}",
    "expression": "SELECT {}",
    "row": "SELECT ROW({}\n)",
    "statement": "{}",
    "table": "TABLE {}",
    "type": "SELECT NULL::{}",
    "values": "SELECT NULL IN ({}\n)",
}
# Words that begin or join what is SQL.
VERBS = frozenset({
    "alter", "analyze", "call", "checkpoint", "cluster", "copy", "create", "deallocate", "delete", "discard", "do",
    "drop", "execute", "explain", "grant", "import", "insert", "join", "listen", "load", "lock", "merge",
    "notify", "prepare", "reassign", "refresh", "reindex", "reset", "revoke", "security", "select", "set", "show",
    "table", "truncate", "union", "unlisten", "update", "vacuum", "values", "where", "with",
})  # fmt: skip
SYMBOLS = frozenset({";", ",", ":=", "=", "..", "<<", ">>", "(", ")", "[", "]", "%", "#", "."})
# Constants that may stand outside of pieces, and behind what.
CONSTANTS = {
    "ICONST": ("slice", "["),
    "PARAM": ("for",),
    "SCONST": ("raise", "exception", "warning", "notice", "info", "log", "debug", "sqlstate"),
}
ROWS = ("new", "old")
POLYMORPHIC = frozenset({
    "any", "anyarray", "anycompatible", "anycompatiblearray", "anycompatiblemultirange", "anycompatiblenonarray",
    "anycompatiblerange", "anyelement", "anyenum", "anymultirange", "anynonarray", "anyrange", "record",
})  # fmt: skip


def statements_of(tree: Node, pieces: Spans, major: int) -> list[Node]:
    """The statements that the code consists of. Unproven where something else may be in it."""
    ((name, body),) = tree.items()
    language, text = _options(name, body)
    if name == "AlterFunctionStmt":
        return []
    if language not in LANGUAGES or (name == "DoStmt" and language != "plpgsql"):
        raise Unproven(f"the language {language}")
    _signature(body)
    if language == "sql":
        return [*_parsed(text, major), *_own(body.get("sql_body", {}))]
    names = [one["FunctionParameter"].get("name", "") for one in body.get("parameters", ())]
    _check_rest(text, pieces, {*names, *strings(body.get("funcname", ()))[-1:], *ROWS})
    return [_piece(mode, spans, text, major) for mode, spans in pieces]


def check_inside(tree: Node, catalog: Catalog) -> None:
    """Unproven for what only a statement by itself may have."""
    for name, body in walk(tree):
        cast = strings(body.get("typeName", {}).get("names", ())) if name == "TypeCast" else []
        if _is_naming(cast) and not _is_text(body.get("arg", {})):
            raise Unproven("a value that becomes a name")
        if name == "FuncCall":
            _check_call(body, catalog)
        if name in ("AlterFunctionStmt", "CreateFunctionStmt", "DoStmt", "VariableSetStmt"):
            raise Unproven("code within code")
    if _is_temporary(tree):
        raise Unproven("a temporary object")


def _check_call(body: Node, catalog: Catalog) -> None:
    called = strings(body.get("funcname", ()))[-1:]
    if called == ["set_config"]:
        raise Unproven("set_config() in code")
    for one in catalog.functions.get(called[0] if called else "", ()):
        for given, oid in zip(body.get("args", ()), one.arguments, strict=False):
            wanted = catalog.types.get(oid)
            fits = len(body["args"]) == len(one.arguments)
            if fits and wanted is not None and _is_naming(["pg_catalog", wanted.name]) and not _is_text(given):
                raise Unproven(f"a value that {called[0]}() takes for a name")


def _is_temporary(tree: Node) -> bool:
    waiting: list[Any] = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if one.get("relpersistence") == "t":
                return True
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return False


def _is_text(node: Node) -> bool:
    """Is it a string constant, cast or not?"""
    while set(node) == {"TypeCast"}:
        node = node["TypeCast"].get("arg", {})
    return "sval" in node.get("A_Const", {})


def _options(name: str, body: Node) -> tuple[str, str]:
    language, text = "plpgsql" if name == "DoStmt" else "sql" if "sql_body" in body else "", ""
    for field in ("options", "args", "actions"):
        for one in body.get(field, ()):
            what, value = one["DefElem"]["defname"], one["DefElem"].get("arg", {})
            if what not in OPTIONS or (what == "security" and value.get("Boolean", {}).get("boolval")):
                raise Unproven(f"the option {what}")
            if what == "set":
                _setting(value["VariableSetStmt"])
            elif what == "language":
                language = value["String"].get("sval", "")
            elif what == "as":
                every = value["List"]["items"] if "List" in value else [value]
                if len(every) != 1:
                    raise Unproven("a library")
                text = every[0]["String"].get("sval", "")
    return language, text


def _setting(body: Node) -> None:
    name = body.get("name", "").lower()
    if name in NEVER_SET or body.get("kind") in ("VAR_SET_CURRENT", "VAR_SET_MULTI"):
        raise Unproven(f"SET {name}")
    values = [one.get("A_Const", {}).get("sval", {}).get("sval", "") for one in body.get("args", ())]
    if name == "search_path":
        first = values[1:] if values[:1] == ["pg_catalog"] else values
        if any(one.startswith("pg_") or one == "information_schema" for one in first):
            raise Unproven("a path with the server's schemas")


def _signature(body: Node) -> None:
    types = [one["FunctionParameter"]["argType"] for one in body.get("parameters", ())]
    for one in (*types, body.get("returnType", {})):
        names = strings(one.get("names", ()))
        plain = names[-1].lstrip("_") if names else ""
        if _is_naming(names) or (plain in POLYMORPHIC and not (plain == "record" and one is body.get("returnType"))):
            raise Unproven(f"a parameter or result of type {plain}")


def _is_naming(names: list[str]) -> bool:
    """Is it a type of pg_catalog whose values are looked up as names?"""
    plain = names[-1].lstrip("_") if names else ""
    return (plain in NAMES or plain == "aclitem") and names[:-1] in ([], ["pg_catalog"])


def _own(node: Any) -> list[Node]:
    """The statements of BEGIN ATOMIC, or what RETURN gives."""
    if "List" in node:
        return [found for one in node["List"].get("items", ()) for found in _own(one)]
    if "ReturnStmt" in node:
        return [{"SelectStmt": {"targetList": [{"ResTarget": {"val": node["ReturnStmt"]["returnval"]}}]}}]
    return [node] if node else []


def _parsed(text: str, major: int) -> list[Node]:
    encoded = text.encode()
    return [one.tree for one in parse(encoded, size_limit=len(encoded) + 1, server_major=major)]


def _piece(mode: str, spans: Sequence[tuple[int, int]], text: str, major: int) -> Node:
    parts, at = [], spans[0][0]
    for begin, end in spans:
        parts.append(" " * (begin - at) + text[begin:end])
        at = end
    before, behind = AROUND[mode].split("{}")
    try:
        found = _parsed(before + "".join(parts) + behind, major)
    except Refusal as refusal:
        raise Unproven("a piece that does not parse") from refusal
    if len(found) != 1 or (mode != "statement" and set(found[0]) != {"SelectStmt"}):
        raise Unproven("a piece that is no statement")
    if mode == "type":
        value = found[0]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
        if "TypeCast" not in value or _is_naming(strings(value["TypeCast"]["typeName"].get("names", ()))):
            raise Unproven("a variable of a type that names something")
    return found[0]


def _check_rest(text: str, pieces: Spans, known: set[str]) -> None:
    """Unproven unless what is in no piece is PL/pgSQL's own words and names of the body's own."""
    tokens = tokens_of(text)
    places: dict[int, str] = {}  # where a token of a piece begins -> its mode
    at = 0
    for mode, spans in pieces:
        for number, (begin, end) in enumerate(spans):
            between = at
            while at < len(tokens) and tokens[at].start < begin:
                at += 1
            if number and (between == at or tokens[between].word != "into"):
                raise Unproven("a piece with a hole")
            if at == len(tokens) or tokens[at].start != begin or end <= begin:
                raise Unproven("a piece that cuts a token, or overlaps another")
            while at < len(tokens) and tokens[at].end <= end:
                places[tokens[at].start] = mode
                at += 1
            if tokens[at - 1].end != end:
                raise Unproven("a piece that cuts a token")
    rest = [one.start not in places for one in tokens]
    bound = known | {
        _name(one)
        for at, one in enumerate(tokens)
        if rest[at] and _name(one) and "." not in [beside.text for beside in tokens[max(at - 1, 0) : at + 2]]
    }
    for at, outside in enumerate(rest):
        if outside:
            _check_token(tokens, at, rest, bound, places)


def _check_token(tokens: list[Token], at: int, rest: list[bool], bound: set[str], places: dict[int, str]) -> None:
    one, before, behind = tokens[at], tokens[max(at - 1, 0)], tokens[at + 1 : at + 3]
    told = one.word == "table" and [after.text for after in behind[:1]] in (["="], [":="])  # of RAISE ... USING
    if (one.word in VERBS and not told) or (one.word == "from" and not _moves(tokens, at)):
        raise Unproven(f"{one.word} outside of any piece")
    if one.kind in CONSTANTS and before.word not in CONSTANTS[one.kind] and before.text not in CONSTANTS[one.kind]:
        raise Unproven("a constant outside of any piece")
    if not _name(one) and one.kind not in CONSTANTS and one.text not in SYMBOLS:
        raise Unproven(f"{one.text} outside of any piece")
    if one.text == "(" and not _of_cursor(behind, [*rest[at + 1 : at + 3], True, True]):
        raise Unproven("a call outside of any piece")
    if one.text == ".":
        _check_point(tokens, at, rest, bound, places)


def _moves(tokens: list[Token], at: int) -> bool:
    """Is it in a FETCH or MOVE?"""
    while at and tokens[at - 1].text != ";" and tokens[at - 1].word not in ("begin", "else", "loop", "then"):
        at -= 1
    return tokens[at].word in ("fetch", "move")


def _of_cursor(behind: list[Token], rest: list[bool]) -> bool:
    """Does a piece stand behind a parenthesis, or a name and its type?"""
    return not rest[0] or (len(behind) == 2 and bool(_name(behind[0])) and not rest[1])


def _check_point(tokens: list[Token], at: int, rest: list[bool], bound: set[str], places: dict[int, str]) -> None:
    if at + 1 >= len(tokens) or not rest[at + 1] or not _name(tokens[at + 1]) or at == 0:
        raise Unproven("a point before a piece")
    if not rest[at - 1]:
        if places[tokens[at - 1].start] != "table" or [one.text for one in tokens[at + 2 : at + 3]] != ["%"]:
            raise Unproven("a point behind a piece")
        return
    first = at - 1
    while first >= 2 and rest[first - 1] and tokens[first - 1].text == ".":
        first -= 2
    if _name(tokens[first]) not in bound:
        raise Unproven("a name of something outside")


def _name(token: Token) -> str:
    """The identifier that a token is; "" for none."""
    if token.kind == "IDENT" and token.text[0] == '"':
        return token.text[1:-1].replace('""', '"')
    return token.word
