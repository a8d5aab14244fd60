"""Literals: those facts about constants that need a look at their value, and casts of constants.

Promises: a cast accepted here converts when the statement is analysed or folded, never per row. Every literal whose
value was looked at is in `sensitive`, whatever the answer, so that no plan is shared across it."""

from __future__ import annotations

import re

from proxy.sql.oids import DATE, INT4, INTERVAL, TIMESTAMPTZ, TSQUERY
from proxy.sql.scope import Tree, Value, strings
from proxy.sql.types import Types, node

_UNIT = r"(microsecond|millisecond|second|minute|hour|day|week|month|year)s?"
_SPAN = re.compile(r"\s*\d{1,3}\s*" + _UNIT + r"\s*", re.ASCII | re.IGNORECASE)


class Literals:
    """Looks at the literals of one statement."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self.sensitive: set[int] = set()

    def constant(self, wrapped: Tree) -> Tree | None:
        """The A_Const below at most one cast to a type that is not a domain."""
        name, body = node(wrapped)
        if name == "TypeCast":
            name, body = node(body["arg"])
        return body if name == "A_Const" else None

    def look(self, constant: Tree) -> str:
        """The text of a string constant, "" for any other; notes that it was looked at."""
        self.sensitive.add(int(constant.get("location", 0)))
        return str(constant.get("sval", {}).get("sval", ""))

    def cast(self, body: Tree) -> bool:
        """A literal cast to a plain type of pg_catalog, or a string to an enum: both are done when the statement is
        analysed."""
        target = self._types.named_type(body.get("typeName", {}))
        if target is None or target.kind == "d" or not self._types.is_plain(target.oid):
            return False
        name, inner = node(body["arg"])
        if name == "A_ArrayExpr":
            literal = all(
                node(one)[0] == "A_Const" and "bsval" not in node(one)[1] for one in inner.get("elements", [])
            )
            return literal and bool(target.element) and target.schema == "pg_catalog"
        if name == "ParamRef":  # no conversion: the parameter is of this type
            converts = bool(body["typeName"].get("typmods")) or target.schema != "pg_catalog"
            return not converts and self._types.is_declared(int(inner.get("number", 0)), target.oid)
        if name != "A_Const" or "bsval" in inner:
            return False
        return target.schema == "pg_catalog" or (target.kind == "e" and ("sval" in inner or bool(inner.get("isnull"))))

    def shifts(self, operator: list[str], value: Value, right: Tree) -> bool:
        """True for `clock + literal` and `clock - literal` that cannot leave the type's range; `value` is the
        clock's."""
        if operator[-1] not in ("+", "-"):
            return False
        if value.type not in (DATE, TIMESTAMPTZ):
            return False
        name, body = node(right)
        constant = self.constant(right)
        if constant is None or not self._types.is_pg_catalog(operator, (value.type, INT4, INTERVAL)):
            return False
        text = self.look(constant)
        if name == "A_Const":
            return value.type == DATE and "ival" in body and 0 <= int(body["ival"].get("ival", 0)) <= 100000
        given = self._types.named_type(body.get("typeName", {}))
        if given is None or given.oid != INTERVAL:
            return False
        if body["typeName"].get("typmods"):
            return re.fullmatch(r"\d{1,3}", text, re.ASCII) is not None
        return _SPAN.fullmatch(text) is not None

    def query(self, wrapped: Tree) -> bool:
        """A tsquery literal, or to_tsquery of two literals, of at most 1000 bytes."""
        name, body = node(wrapped)
        if name == "A_Const":
            return "sval" in body and len(self.look(body).encode()) <= 1000
        if name == "TypeCast":
            target = self._types.named_type(body.get("typeName", {}))
            kind, inner = node(body["arg"])
            if target is None or target.oid != TSQUERY or kind != "A_Const" or "sval" not in inner:
                return False
            return len(self.look(inner).encode()) <= 1000
        if name != "FuncCall" or set(body) - {"funcname", "args", "funcformat", "location"}:
            return False
        called = strings(body.get("funcname", []))
        arguments = body.get("args", [])
        if (
            not called
            or called[-1] != "to_tsquery"
            or not self._types.function_is_pg_catalog(called)
            or len(arguments) != 2
        ):
            return False
        constants = [node(one)[1] for one in arguments if node(one)[0] == "A_Const" and "sval" in node(one)[1]]
        return len(constants) == 2 and all(len(self.look(one).encode()) <= 1000 for one in constants)
