"""Whether an expression can only name objects that the tenant sees.

Promises: True only for visible constants, for columns of catalogs (which are confined to what policy shows) and for
what carries these along: sub-selects, CTEs, unnest, CASE. Columns of tables, computed numbers and parameters are not:
they would let a session count through all OIDs, or ask for names. Raises nothing but what name resolution raises."""

from __future__ import annotations

from typing import Any

from proxy.sql.outputs import column_name
from proxy.sql.resolve import resolve
from proxy.sql.scope import Env, Item, Level, Query, Source, Tree
from proxy.sql.types import node
from proxy.sql.world import World

REG_TYPES = frozenset(
    {"regclass", "regproc", "regprocedure", "regoper", "regoperator", "regtype", "regrole", "regnamespace"}
)
FIRST_OWN_OID = 16384  # FirstNormalObjectId: below are the objects that initdb made, the same in every database
# Columns that hold functions which no rule need list: their names are shown, and nothing else of them.
FUNCTIONS = frozenset({
    "tgfoid", "oprrest", "oprjoin", "castfunc", "amproc", "conproc", "evtfoid", "amhandler", "prosupport",
    "typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout", "typanalyze", "typsubscript",
    "rngcanonical", "rngsubdiff", "lanplcallfoid", "laninline", "lanvalidator", "fdwhandler", "fdwvalidator",
    "aggtransfn", "aggfinalfn", "aggcombinefn", "aggserialfn", "aggdeserialfn", "aggmtransfn", "aggminvtransfn",
    "aggmfinalfn", "prsstart", "prstoken", "prsend", "prsheadline", "prslextype", "tmplinit", "tmpllexize",
    "trffromsql", "trftosql",
})  # fmt: skip
# Functions that give back nothing but what they were given, or objects that a visible object has.
CARRIERS = frozenset((
    "unnest", "min", "max", "array_agg", "any_value", "pg_get_serial_sequence",
    "pg_partition_ancestors", "pg_partition_root", "pg_partition_tree",
))  # fmt: skip


def visible_oid(world: World, oid: int) -> bool:
    """Is it the OID of a built-in object or of one that the tenant sees? OIDs of relations, types and functions may be
    equal; then each of these has to be visible."""
    if oid < FIRST_OWN_OID:
        return True
    catalog = world.catalog
    relation, one, function = (
        catalog.relations_by_oid.get(oid),
        catalog.types.get(oid),
        catalog.functions_by_oid.get(oid),
    )
    seen = []
    if relation is not None:
        name = (relation.schema, relation.name)
        seen.append(world.relation(*name) is not None or name in world.policy.sequences)
    if one is not None:
        element = catalog.types.get(one.element, one)  # an array of a hidden table's rows is as hidden
        row = catalog.relations_by_oid.get(element.relation)
        seen.append(row is None or row.kind == "c" or world.relation(row.schema, row.name) is not None)
    if function is not None:
        seen.append(
            any((rule.schema, rule.name) == (function.schema, function.name) for rule in world.policy.functions)
        )
    return bool(seen) and all(seen)


class Origins:
    """Where the values of one statement's expressions come from. Raises what resolve raises."""

    def __init__(self, tree: Tree, world: World) -> None:
        self._world = world
        self._analysis = resolve(tree, world)
        self._envs: dict[int, Env] = {}
        self._seen: set[tuple[int, str]] = set()
        self._by_name = False
        self._busy: list[
            Source
        ] = []  # functions in FROM whose arguments are being looked at: they do not see themselves
        levels = {id(one.body) for one in self._analysis.levels}
        for level in self._analysis.levels:
            if level.env is not None:
                self._note(level.body, level.env, levels)

    def _note(self, value: Any, env: Env, levels: set[int]) -> None:
        for one in value.values() if isinstance(value, dict) else value:
            if isinstance(one, dict | list) and id(one) not in levels:
                self._envs[id(one)] = env
                self._note(one, env, levels)

    def shown(self, wrapped: Tree, by_name: bool = False) -> bool:
        """Can this expression, a node of the statement, only name what the tenant sees? `by_name`: nothing but the name
        of a function is asked for, which the schema tells anyway.
        """
        self._seen.clear()
        self._by_name = by_name
        return self._asked(wrapped)

    def _asked(self, wrapped: Tree) -> bool:
        env = self._envs.get(id(wrapped))
        return env is not None and self._shown(wrapped, env)

    def is_column(self, wrapped: Tree, relation: str, column: str) -> bool:
        """Is this ColumnRef certainly that column of a catalog?"""
        env = self._envs.get(id(wrapped))
        fields = [one.get("String", {}).get("sval", "") for one in node(wrapped)[1]["fields"]]
        if env is None or fields[-1] != column or len(fields) > 2:
            return False
        items: list[Item | None] = [env.relation(fields[0])] if len(fields) == 2 else []
        for one in env.chain() if len(fields) == 1 else ():
            items += [item for item in one.items if item.open or item.own(column)]
        seen = [None if item is None or item.source is None else item.source.visible for item in items]
        return bool(seen) and all(
            one is not None and one.access == "catalog" and one.relation.name == relation for one in seen
        )

    def _shown(self, wrapped: Tree, env: Env) -> bool:
        name, body = node(wrapped)
        match name:
            case "TypeCast":
                kind = str(body["typeName"].get("names", [{}])[-1].get("String", {}).get("sval", ""))
                named = kind in REG_TYPES and "sval" in body["arg"].get("A_Const", {})
                return named or self._shown(body["arg"], env)  # permit judges the name
            case "A_Const":
                return self._constant(body)
            case "ColumnRef":
                return self._column(body, env)
            case "FuncCall":
                called = [one["String"].get("sval", "") for one in body["funcname"]]
                known = called[-1] in CARRIERS and called[:-1] in ([], ["pg_catalog"])
                return known and bool(body.get("args")) and self._shown(body["args"][0], env)
            case "CoalesceExpr" | "MinMaxExpr":
                return all(self._shown(one, env) for one in body.get("args", ()))
            case "A_ArrayExpr":
                return all(self._shown(one, env) for one in body.get("elements", ()))
            case "CaseExpr":
                parts = [one["CaseWhen"]["result"] for one in body.get("args", ())]
                return all(
                    self._shown(one, env) for one in (*parts, *([body["defresult"]] if "defresult" in body else []))
                )
            case "A_Indirection":
                return all("A_Indices" in one for one in body.get("indirection", ())) and self._shown(body["arg"], env)
            case "SubLink":
                if body.get("subLinkType") not in ("EXPR_SUBLINK", "ARRAY_SUBLINK"):
                    return False
                query = self._analysis.types.queries.get(id(node(body["subselect"])[1]))
                outputs = query.outputs if query is not None else None
                return query is not None and outputs is not None and len(outputs) == 1 and self._output(query, 0)
            case _:
                return False

    def _constant(self, body: Tree) -> bool:
        """A number is an OID; NULL names nothing. A name is judged where its type is known: not here."""
        if body.get("isnull"):
            return True
        text = (
            str(body["sval"].get("sval", ""))
            if "sval" in body
            else str(body.get("ival", {}).get("ival", 0) if "ival" in body else "")
        )
        return text == "-" or (text.isascii() and text.isdigit() and visible_oid(self._world, int(text)))

    def _column(self, body: Tree, env: Env) -> bool:
        fields = [one.get("String", {}).get("sval", "") for one in body["fields"]]
        if not all(fields) or len(fields) > 3:
            return False
        if len(fields) > 1:
            item = env.relation(fields[-2])
            return item is not None and self._item(item, fields[-1])
        return self._unqualified(fields[0], env)

    def _unqualified(self, name: str, env: Env) -> bool:
        """Every item of the innermost level that may have the column must show it so."""
        for one in env.chain():
            found = [
                item
                for item in one.items
                if item.source is not None and (item.open or item.own(name)) and item.source not in self._busy
            ]
            if found:
                return all(self._item(item, name) for item in found)
        return False

    def _item(self, item: Item, name: str) -> bool:
        source = item.source
        if source is not None and source.kind == "function":
            self._busy.append(source)
            try:
                return self._function(source.item)
            finally:
                self._busy.pop()
        if source is None or item.open or not item.own(name):
            return False
        at = next((number for number, one in enumerate(item.columns) if one.name == name), -1)
        if at < 0 and name == "tableoid" and source.kind == "table":
            return True  # the partition that a row of the tenant's own is in
        return self._source(source, at, name)

    def _source(self, source: Source, at: int, name: str) -> bool:
        if source.kind in ("table", "view"):
            if source.visible is None or source.visible.access != "catalog":
                return False
            columns = source.visible.relation.columns
            return self._by_name or not 0 <= at < len(columns) or columns[at].name not in FUNCTIONS
        if at < 0:
            return False
        query = source.query if source.kind == "derived" else source.cte.query if source.cte is not None else None
        return query is not None and self._output(query, at)

    def _function(self, item: Tree) -> bool:
        """unnest() of one shown array, or the like; WITH ORDINALITY would put numbers beside."""
        body = item.get("RangeFunction")
        if body is None or body.get("ordinality") or body.get("coldeflist"):
            return False
        calls = [one["List"]["items"][0] for one in body.get("functions", ())]
        return bool(calls) and all(
            "FuncCall" in one and len(one["FuncCall"].get("args", ())) == 1 and self._asked(one) for one in calls
        )

    def _output(self, query: Query, at: int) -> bool:
        """The output column of that position."""
        body = query.body
        mark = (id(body), str(at))
        if mark in self._seen:
            return True  # a recursive CTE adds nothing that its other arm does not show
        self._seen.add(mark)
        if not self._of_body(query, at):
            self._seen.discard(mark)
            return False
        return True

    def _of_body(self, query: Query, at: int) -> bool:
        body = query.body
        if query.outputs is None or at >= len(query.outputs):
            return False
        if body.get("op", "SETOP_NONE") != "SETOP_NONE":
            arms = [self._analysis.types.queries.get(id(body[one])) for one in ("larg", "rarg")]
            return all(one is not None and self._output(one, at) for one in arms)
        env = query.level.env
        if env is None:
            return False
        if "valuesLists" in body:
            return all(self._shown(row["List"]["items"][at], env) for row in body["valuesLists"])
        targets = [one["ResTarget"] for one in body.get("targetList", ())]
        if any(_starred(one["val"]) for one in targets):
            return self._beside_star(targets, query.outputs[at].name, env, query.level)
        return len(targets) == len(query.outputs) and self._shown(targets[at]["val"], env)

    def _beside_star(self, targets: list[Tree], name: str, env: Env, level: Level) -> bool:
        """Positions are not known beside a star: everything of that name has to be shown."""
        named = [
            one for one in targets if not _starred(one["val"]) and (one.get("name") or column_name(one["val"])) == name
        ]
        items = [item for item in env.items if item.source is not None and (item.open or item.own(name))]
        return (
            bool(named or items)
            and all(self._shown(one["val"], env) for one in named)
            and all(self._item(item, name) for item in items)
        )


def _starred(wrapped: Tree) -> bool:
    name, body = node(wrapped)
    return name in ("ColumnRef", "A_Indirection") and any(
        "A_Star" in one for one in body.get("fields", body.get("indirection", ()))
    )
