"""Resolve: which object every name of a statement is, level by level.

Promises: CTE visibility, aliases, column alias lists, LATERAL, join aliases and merged columns follow PostgreSQL's
parse analysis; the tree is not changed, but for one thing: the copies of a multi-column assignment's source become
one object. A relation that the world hides is refused as PostgreSQL refuses one that does not exist; a node that
could hold names and is not known here is refused with 0A000."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.errors import FeatureNotSupported
from proxy.sql.fields import FIELDS
from proxy.sql.items import Items, Place, check_names
from proxy.sql.joins import JoinColumns, merge
from proxy.sql.nodes import Nodes
from proxy.sql.outputs import combined, expanded, of_values
from proxy.sql.ranges import function_columns, table_function_columns
from proxy.sql.scope import UNKNOWN, Clause, Cte, Env, Item, Join, Level, Named, Query, Source, Tree, Value
from proxy.sql.silent import Silence
from proxy.sql.types import Types, node
from proxy.sql.world import Scenery

_TAIL = ("sortClause", "limitOffset", "limitCount")
_ABOVE = ("targetList", "groupClause", "havingClause", "windowClause", "distinctClause", *_TAIL)
_STATEMENTS = ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")


@dataclass(slots=True, eq=False)
class Analysis:
    """A statement with its names resolved. nodes: as they are before any rule; levels: inner before outer."""

    nodes: Nodes
    query: Query
    types: Types
    silence: Silence
    levels: tuple[Level, ...]
    sensitive: set[int] = field(default_factory=set)

    @property
    def confined(self) -> bool:
        """True where any relation needs the tenant predicate."""
        return any(one.visible is not None and one.visible.confined for level in self.levels for one in level.sources)


def resolve(tree: Tree, world: Scenery, parameter_types: Sequence[int] = ()) -> Analysis:
    """Resolve every name of a SELECT, INSERT, UPDATE, DELETE or MERGE.

    Raises UndefinedTable for a relation the world does not show and FeatureNotSupported for nodes unknown here."""
    nodes = Nodes(tree)
    numbers = Counter(int(body.get("number", 0)) for body in nodes.of("ParamRef"))
    declared = tuple(parameter_types)
    once = frozenset(n for n, times in numbers.items() if times == 1 and declared[n - 1 : n] in ((), (0,), (705,)))
    types = Types(world, declared, once)
    walker = _Resolver(world, types, Silence(world, types))
    query = walker.query(tree, None, None, {})
    levels: list[Level] = []
    _inner_first(query.level, levels)
    return Analysis(nodes, query, types, walker.silence, tuple(levels), walker.sensitive)


def _source(insert: Tree) -> Any:
    """The SELECT or VALUES that an INSERT takes its rows from; nothing about the cells of its VALUES is ever asked."""
    return insert.get("selectStmt", {}).get("SelectStmt")


def _inner_first(level: Level, into: list[Level]) -> None:
    for child in level.children:
        _inner_first(child, into)
    into.append(level)


class _Resolver:
    def __init__(self, world: Scenery, types: Types, silence: Silence) -> None:
        self._world = world
        self._types = types
        self.silence = silence
        self.sensitive: set[int] = set()
        self._items = Items(world, types, resolve)

    # -- statements

    def query(self, wrapped: Tree, parent: Level | None, outer: Env | None, ctes: Mapping[str, Cte]) -> Query:
        name, body = node(wrapped)
        if name == "SelectStmt":
            return self.select(body, parent, outer, ctes)
        if name in ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"):
            return self._modify(name, body, parent, outer, ctes)
        raise FeatureNotSupported(f"{name} is not supported here")

    def select(
        self, body: Tree, parent: Level | None, outer: Env | None, ctes: Mapping[str, Cte], cte: Cte | None = None
    ) -> Query:
        if "intoClause" in body or set(body) - FIELDS["SelectStmt"]:
            raise FeatureNotSupported("this form of SELECT is not supported")
        level = Level(body, parent, "SelectStmt")
        if parent is not None:
            parent.children.append(level)
        query = Query(body, level)
        self._types.queries[id(body)] = query
        ctes = self._with(body, level, outer, ctes)
        if body.get("op", "SETOP_NONE") != "SETOP_NONE":
            return self._set_operation(query, outer, ctes, cte)
        if "valuesLists" in body:
            level.kind = "values"
            level.env = Env([], outer, ctes)
            self._expressions([body.get(one, []) for one in ("valuesLists", *_TAIL)], level, level.env)
            if parent is None or parent.kind != "InsertStmt" or body is not _source(parent.body):
                of_values(query, self._types, self.silence)
            return query
        items: list[Item] = []
        for one in body.get("fromClause", []):
            found, _, _ = self._from(one, level, outer, ctes, Place(lateral=tuple(items)))
            check_names(items, found)
            items += found
        level.env = Env(items, outer, ctes)
        if "whereClause" in body:
            self._expressions(body["whereClause"], level, level.env)
        level.clauses.append(Clause("where", body, "whereClause", level.env))
        if "havingClause" in body:
            level.clauses.append(Clause("having", body, "havingClause", level.env))
        self._expressions([body.get(one, []) for one in _ABOVE], level, Env(items, outer, ctes, above=True))
        query.outputs, query.hard = expanded(body.get("targetList", []), level.env, self._types, self.silence)
        return query

    def _set_operation(self, query: Query, outer: Env | None, ctes: Mapping[str, Cte], cte: Cte | None) -> Query:
        query.level.kind = "setop"
        left = self.select(query.body["larg"], query.level, outer, ctes)
        if cte is not None and cte.busy:
            cte.outputs = _named(left.outputs, cte.body)
        right = self.select(query.body["rarg"], query.level, outer, ctes)
        query.level.env = Env([], outer, ctes)
        self._expressions([query.body.get(one, []) for one in _TAIL], query.level, query.level.env)
        combined(query, left, right, self._types)
        return query

    def _modify(self, kind: str, body: Tree, parent: Level | None, outer: Env | None, ctes: Mapping[str, Cte]) -> Query:
        if set(body) - FIELDS[kind]:
            raise FeatureNotSupported("this form of the statement is not supported")
        level = Level(body, parent, kind)
        if parent is not None:
            parent.children.append(level)
        query = Query(body, level)
        ctes = self._with(body, level, outer, ctes)
        target, level.target = self._items.relation(body["relation"], body["relation"], level, Place())
        level.target.target = True  # never a CTE
        items: list[Item] = []
        merged = [body["sourceRelation"]] if kind == "MergeStmt" else []
        for one in [*body.get("fromClause", []), *body.get("usingClause", []), *merged]:
            place = Place(lateral=tuple(items), below_alias=bool(merged))  # fenced: ON keeps no row of a source out
            found, _, _ = self._from(one, level, outer, ctes, place)
            check_names([target, *items], found)
            items += found
        level.env = Env([target, *items], outer, ctes)
        if kind == "MergeStmt":
            self._merge(body, level, target, items, level.env)
        elif kind == "InsertStmt":
            if "selectStmt" in body:
                self.query(body["selectStmt"], level, outer, ctes)
            self._expressions(body.get("cols", []), level, level.env)
            if "onConflictClause" in body:
                self._conflict(body["onConflictClause"], level, target, outer, ctes)
        elif "CurrentOfExpr" not in body.get("whereClause", {}):
            self._expressions(body.get("whereClause", {}), level, level.env)
            level.clauses.append(Clause("where", body, "whereClause", level.env))
        _share_sources(body.get("targetList", []))
        self._expressions(body.get("targetList", []), level, level.env)
        returning = body.get("returningClause", {})
        if set(returning) - {"exprs"}:
            raise FeatureNotSupported("RETURNING WITH is not supported")
        exprs = returning.get("exprs", [])
        self._expressions(exprs, level, level.env)
        shown = Env([*items, target], outer, ctes) if merged else level.env  # a star of MERGE begins with the source
        query.outputs, query.hard = expanded(exprs, shown, self._types, self.silence)
        return query

    def _merge(self, body: Tree, level: Level, target: Item, items: list[Item], both: Env) -> None:
        kinds = {one["MergeWhenClause"].get("matchKind") for one in body["mergeWhenClauses"]}
        by_target, by_source = "MERGE_WHEN_NOT_MATCHED_BY_TARGET", "MERGE_WHEN_NOT_MATCHED_BY_SOURCE"
        sees = {by_target: Env(items, both.parent, both.ctes), by_source: Env([target], both.parent, both.ctes)}
        join = Join(body, "JOIN_FULL" if kinds >= {by_target, by_source} else "JOIN_LEFT", both, False)
        join.arms = (Env([target], None, both.ctes), Env(items, None, both.ctes))
        self._expressions(body["joinCondition"], level, both)
        level.clauses.append(Clause("on", body, "joinCondition", both, join))
        for one in body["mergeWhenClauses"]:
            clause = one["MergeWhenClause"]
            if set(clause) - FIELDS["MergeWhenClause"]:
                raise FeatureNotSupported("this form of the statement is not supported")
            _share_sources(clause.get("targetList", []))
            env = sees.get(clause.get("matchKind"), both)
            parts = [clause.get(name, []) for name in ("condition", "targetList", "values")]
            self._expressions(parts, level, env)
            level.actions.append((clause, env))

    def _conflict(self, body: Tree, level: Level, target: Item, outer: Env | None, ctes: Mapping[str, Cte]) -> None:
        source = Source("excluded", "excluded", level, {})
        columns = tuple(
            Named(one.name, Value(one.value.type, one.value.collation, key=one.value.key)) for one in target.columns
        )
        env = Env([target, Item("excluded", columns, source, by_column=False)], outer, ctes)
        _share_sources(body.get("targetList", []))
        self._expressions([body.get("infer", {}), body.get("targetList", []), body.get("whereClause", {})], level, env)
        level.clauses.append(Clause("conflict", body, "whereClause", env))

    # -- WITH

    def _with(self, body: Tree, level: Level, outer: Env | None, ctes: Mapping[str, Cte]) -> Mapping[str, Cte]:
        clause = body.get("withClause")
        if not clause:
            return ctes
        own = [Cte(one["CommonTableExpr"]["ctename"], one["CommonTableExpr"]) for one in clause["ctes"]]
        level.ctes += own
        if clause.get("recursive"):
            seen = {**ctes, **{one.name: one for one in own}}
            for one in own:
                one.pending = (level, outer, seen)
            for one in own:
                self._define(one)
            return seen
        for one in own:
            one.pending = (level, outer, ctes)
            self._define(one)
            ctes = {**ctes, one.name: one}
        return ctes

    def _define(self, cte: Cte) -> None:
        """Resolve its body once; a reference from within sees the columns of the non-recursive arm."""
        if cte.pending is None:
            return
        level, outer, ctes = cte.pending
        cte.pending, cte.busy = None, True
        name, body = node(cte.body["ctequery"])
        if name == "SelectStmt":
            cte.query = self.select(body, level, outer, ctes, cte)
        else:
            cte.query = self.query(cte.body["ctequery"], level, outer, ctes)
        cte.busy = False
        cte.outputs = _named(cte.query.outputs, cte.body)

    # -- FROM

    def _from(
        self, wrapped: Tree, level: Level, outer: Env | None, ctes: Mapping[str, Cte], place: Place
    ) -> tuple[list[Item], tuple[Named, ...], bool]:
        """The namespace items of a FROM item, its columns, and whether more than these may be there."""
        name, body = node(wrapped)
        sideways = Env(list(place.lateral), outer, ctes)
        if name == "RangeVar":
            cte = ctes.get(body.get("relname", "")) if "schemaname" not in body and "catalogname" not in body else None
            if cte is None:
                item, _ = self._items.relation(wrapped, body, level, place)
            else:
                self._define(cte)
                item, source = self._items.plain("cte", wrapped, body, level, place, cte.outputs)
                source.cte, source.hard = cte, cte.query is not None and cte.query.hard
        elif name == "RangeTableSample":
            inner = node(body["relation"])[1]
            if node(body["relation"])[0] != "RangeVar" or (inner.get("relname") in ctes and "schemaname" not in inner):
                raise FeatureNotSupported("TABLESAMPLE is supported for tables only")
            self._expressions([body.get("args", []), body.get("repeatable", {})], level, sideways)
            item, _ = self._items.relation(wrapped, inner, level, place)
        elif name == "RangeSubselect":
            query = self.query(body["subquery"], level, sideways if body.get("lateral") else outer, ctes)
            item, source = self._items.plain("derived", wrapped, body, level, place, query.outputs)
            source.query, source.hard = query, query.hard
        elif name == "RangeFunction":
            self._expressions([body.get("functions", []), body.get("coldeflist", [])], level, sideways)
            columns, is_open = function_columns(body, sideways, self._types, self._world)
            item, _ = self._items.plain("function", wrapped, body, level, place, columns, is_open)
        elif name in ("RangeTableFunc", "JsonTable"):
            self._expressions(body, level, sideways)
            columns = table_function_columns(name, body)
            item, _ = self._items.plain("function", wrapped, body, level, place, columns, name == "JsonTable")
        elif name == "JoinExpr":
            return self._join(wrapped, body, level, outer, ctes, place)
        else:
            raise FeatureNotSupported(f"{name} is not supported in FROM")
        return [item], item.columns, item.open

    def _join(
        self, wrapped: Tree, body: Tree, level: Level, outer: Env | None, ctes: Mapping[str, Cte], place: Place
    ) -> tuple[list[Item], tuple[Named, ...], bool]:
        kind = str(body.get("jointype"))
        if kind not in ("JOIN_INNER", "JOIN_LEFT", "JOIN_RIGHT", "JOIN_FULL"):
            raise FeatureNotSupported("this kind of join is not supported")
        alias = body.get("alias", {})
        join = Join(body, kind, Env([], outer, ctes), bool(alias))
        level.joins.append(join)
        below = place.below_alias or bool(alias)
        left_of = join if kind in ("JOIN_RIGHT", "JOIN_FULL") else place.join
        right_of = join if kind in ("JOIN_LEFT", "JOIN_FULL") else place.join
        left_items, left, left_open = self._from(body["larg"], level, outer, ctes, Place(place.lateral, left_of, below))
        seen = (*place.lateral, *left_items) if kind in ("JOIN_INNER", "JOIN_LEFT") else place.lateral
        right_items, right, right_open = self._from(body["rarg"], level, outer, ctes, Place(seen, right_of, below))
        check_names(left_items, right_items)
        join.env.items += [*left_items, *right_items]
        join.arms = (Env(left_items, None, ctes), Env(right_items, None, ctes))
        if "quals" in body:
            self._expressions(body["quals"], level, join.env)
        level.clauses.append(Clause("on", body, "quals", join.env, join))
        merged: JoinColumns = merge(body, left, right, left_open or right_open, self._types, self.silence)
        join.pairs = merged.pairs
        columns = merged.columns
        if alias:
            # an aliased join is a derived table: its columns are of no table that a guard could name
            bare = tuple(Named(one.name, _detached(one.value)) for one in columns)
            item, _ = self._items.plain("join", wrapped, body, level, place, bare, left_open or right_open)
            return [item], item.columns, item.open
        items = [one.covered() for one in (*left_items, *right_items)]
        items.append(Item(None, columns, None, left_open or right_open, by_name=False))
        if "join_using_alias" in body:
            items.append(Item(body["join_using_alias"]["aliasname"], merged.merged, None, by_column=False))
        return items, columns, left_open or right_open

    # -- expressions

    def _expressions(self, value: Any, level: Level, env: Env) -> None:
        """Resolve every sub-select of these expressions."""
        if type(value) is list:
            for one in value:
                if "String" not in one:
                    self._expressions(one, level, env)
        elif type(value) is dict:
            for name, body in value.items():
                if (kind := type(body)) is not dict and kind is not list:
                    continue
                if name == "SubLink":
                    self._expressions(body.get("testexpr", {}), level, env)
                    self.query(body["subselect"], level, env, env.ctes)
                elif name in _STATEMENTS or name.startswith("Range"):
                    raise FeatureNotSupported("this place of a sub-select is not supported")
                elif not (name == "MultiAssignRef" and body.get("colno") != 1):
                    self._expressions(body, level, env)


def _detached(value: Value) -> Value:
    return Value(value.type, value.collation, value.silent, False, value.stored, None, value.key)


def _named(outputs: tuple[Named, ...] | None, cte: Tree) -> tuple[Named, ...] | None:
    """The outputs under a CTE's column names, with what SEARCH and CYCLE add."""
    if outputs is None:
        return None
    names = [one["String"]["sval"] for one in cte.get("aliascolnames", [])]
    found = [Named(names[at] if at < len(names) else one.name, one.value) for at, one in enumerate(outputs)]
    added = [cte.get("search_clause", {}).get("search_seq_column")]
    added += [cte.get("cycle_clause", {}).get(one) for one in ("cycle_mark_column", "cycle_path_column")]
    return (*found, *(Named(one, UNKNOWN) for one in added if one))


def _share_sources(targets: list[Tree]) -> None:
    """The tree repeats the source of `(a, b) = source` at each column; make it one object, to be changed once."""
    source: Tree | None = None
    for one in targets:
        name, body = node(one["ResTarget"].get("val", {}))
        if name == "MultiAssignRef":
            if body.get("colno") == 1:
                source = body["source"]
            elif source is not None:
                body["source"] = source
