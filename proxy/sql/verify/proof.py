"""The proof: a walk over one statement that gathers its levels and then checks each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.sql.verify.calls import Calls
from proxy.sql.verify.catalogs import Expected
from proxy.sql.verify.guards import Guards
from proxy.sql.verify.harmless import Harmless
from proxy.sql.verify.keys import Keys
from proxy.sql.verify.levels import Condition, Cte, Item, Level, Node, Unproven, conjuncts, strings
from proxy.sql.verify.nodes import CHANGE_FIELDS, EXPRESSIONS, INSERT_FIELDS, SELECT_FIELDS
from proxy.sql.verify.relations import SYSTEM, Relations
from proxy.sql.verify.shapes import has_ordering, is_ordering, names_itself, output_names, positioned, references

NULLABLE = {
    "JOIN_LEFT": (False, True),
    "JOIN_RIGHT": (True, False),
    "JOIN_FULL": (True, True),
    "JOIN_INNER": (True, True),
}


class Proof:
    """One statement."""

    def __init__(self, relations: Relations, expected: Expected, keys: Mapping[str, str]) -> None:
        self._relations = relations
        self._catalog = relations.catalog
        self._expected = expected
        self._keys = Keys(keys)
        self._guards = Guards(relations.catalog, self._keys)
        self._calls = Calls(relations, keys)
        self._confines = True

    # -- statements

    def statement(self, tree: Node) -> None:
        """Unproven unless the statement is confined."""
        self._confines = self._relations.confined_in(tree)
        self._query(tree, {}, ())

    def _query(self, tree: Node, ctes: dict[str, Cte], outer: tuple[Level, ...]) -> Level:
        ((name, body),) = tree.items()
        if name == "SelectStmt":
            return self._select(body, ctes, outer)
        if name in {"InsertStmt", "UpdateStmt", "DeleteStmt"}:
            return self._change(name, body, ctes, outer)
        raise Unproven(f"a statement of kind {name}")

    def _select(self, body: Node, ctes: dict[str, Cte], outer: tuple[Level, ...]) -> Level:
        if set(body) - SELECT_FIELDS:
            raise Unproven(f"fields {set(body) - SELECT_FIELDS} of SELECT")
        level = Level(outer, self._with(body, ctes, outer))
        if body.get("op", "SETOP_NONE") != "SETOP_NONE":
            for side in ("larg", "rarg"):
                level.inner.append(self._select(body[side], level.ctes, outer))
            self._expressions(level, [], [body.get(name) for name in ("sortClause", "limitCount", "limitOffset")])
            self._settle(level, None)
            return level
        for one in body.get("fromClause", ()):
            level.visible += self._from(one, level)
        if "whereClause" in body:
            level.conditions.append(Condition(conjuncts(body["whereClause"]), level.visible, level.visible))
        wrapper = {"targetList", "fromClause", "whereClause", "limitOffset", "limitOption", "op"}
        if set(body) == wrapper and len(level.items) == 1 and len(conjuncts(body["whereClause"])) == 1:
            level.items[0].boundary = True  # nothing but the predicate is below this OFFSET
        rest = [
            value
            for name, value in body.items()
            if name not in {"fromClause", "withClause", "whereClause", "havingClause", "lockingClause"}
        ]
        self._expressions(level, level.visible, rest, above=True)
        self._settle(level, body.get("havingClause"))
        return level

    def _with(self, body: Node, ctes: dict[str, Cte], outer: tuple[Level, ...]) -> dict[str, Cte]:
        clause = body.get("withClause")
        if clause is None:
            return ctes
        seen = dict(ctes)
        items = [one["CommonTableExpr"] for one in clause.get("ctes", ())]
        if clause.get("recursive"):
            seen |= {one["ctename"]: Cte(True, True) for one in items}
        for one in items:
            query = one["ctequery"]
            again = bool(clause.get("recursive")) and names_itself(query, one["ctename"])
            fenced = one.get("ctematerialized") == "CTEMaterializeAlways" or "SelectStmt" not in query or again
            if set(one) & {"search_clause", "cycle_clause"}:
                fenced = True
            level = self._query(query, seen, outer)
            hard = "SelectStmt" in query and self._guards.hard(query["SelectStmt"], level)
            seen = {**seen, one["ctename"]: Cte(fenced, hard, level)}
        return seen

    def _change(self, name: str, body: Node, ctes: dict[str, Cte], outer: tuple[Level, ...]) -> Level:
        level = Level(outer, self._with(body, ctes, outer))
        target = self._target(body["relation"])
        level.items, level.visible = [target], [target]
        for one in (*body.get("fromClause", ()), *body.get("usingClause", ())):
            level.visible += self._from(one, level)
        confined = target if name == "InsertStmt" else None
        if name == "InsertStmt":
            self._insert(body, target, level)
        elif positioned(body, level):
            confined = target  # the cursor is on an own row
        elif "whereClause" in body:
            level.conditions.append(Condition(conjuncts(body["whereClause"]), level.visible, level.visible))
        if name == "UpdateStmt":
            self._assignments(body.get("targetList", []), target, level, level.visible)
            self._expressions(level, level.visible, body.get("targetList", []))
        self._expressions(level, level.visible, [body.get("returningClause")])
        if unknown := set(body) - (INSERT_FIELDS if name == "InsertStmt" else CHANGE_FIELDS):
            raise Unproven(f"fields {unknown} of {name}")
        self._settle(level, None, confined)
        return level

    def _target(self, body: Node) -> Item:
        item = self._range(body)
        if item.shown is None or item.shown.access not in {"tenant", "own"}:
            raise Unproven("a target that is not the tenant's table")
        return item

    # -- INSERT

    def _insert(self, body: Node, target: Item, level: Level) -> None:
        shown = target.shown
        assert shown is not None
        if shown.column is None:
            if "selectStmt" in body:  # into a temporary table: whatever the rows are, their query is proved
                level.inner.append(self._select(body["selectStmt"]["SelectStmt"], level.ctes, level.outer))
            self._expressions(level, [target, Item("excluded", "nothing")], [body.get("onConflictClause")])
            return
        columns = [one["ResTarget"]["name"] for one in body.get("cols", ())]
        if columns.count(shown.column.name) != 1 or "selectStmt" not in body:
            raise Unproven("an INSERT without the tenant column")
        select = body["selectStmt"]["SelectStmt"]
        source = self._select(select, level.ctes, level.outer)
        level.inner.append(source)
        self._keys.gives_key(select, at := columns.index(shown.column.name), shown, source, at == len(columns) - 1)
        conflict = body.get("onConflictClause")
        if conflict is None:
            return
        if conflict.get("action") == "ONCONFLICT_UPDATE":
            excluded = Item("excluded", "nothing", None)
            both = [target, excluded]
            self._assignments(conflict.get("targetList", []), target, level, both)
            level.conditions.append(Condition(conjuncts(conflict.get("whereClause")), both, [target]))
            if not any(self._keys.is_predicate(one, target, both) for one in level.conditions[-1].parts):
                raise Unproven("ON CONFLICT DO UPDATE without the predicate")
            self._expressions(level, both, conflict.get("targetList", []))
        for one in conflict.get("infer", {}).get("indexElems", ()):
            self._expressions(level, [target], [one])

    def _assignments(self, targets: list[Node], target: Item, level: Level, visible: list[Item]) -> None:
        shown = target.shown
        assert shown is not None
        if shown.column is None:
            return
        for one in targets:
            if one["ResTarget"].get("name") != shown.column.name:
                continue
            value, at = one["ResTarget"].get("val", {}), 0
            if "MultiAssignRef" in value:
                at = value["MultiAssignRef"].get("colno", 1) - 1
                value = value["MultiAssignRef"]["source"]
                if "RowExpr" in value and at < len(value["RowExpr"].get("args", ())):
                    value = value["RowExpr"]["args"][at]
            link = value.get("SubLink", {})
            if link.get("subLinkType") == "EXPR_SUBLINK" and "SelectStmt" in link["subselect"]:
                enclosing = Level(level.outer, level.ctes, visible=visible)
                source = self._query(link["subselect"], level.ctes, (enclosing, *level.outer))
                self._keys.gives_key(link["subselect"]["SelectStmt"], at, shown, source)
            elif not self._keys.is_own(value, shown):
                raise Unproven("an assignment to the tenant column")

    # -- FROM

    def _from(self, node: Node, level: Level) -> list[Item]:
        """Adds a FROM item to the level; what of it the rest of the level can name."""
        ((name, body),) = node.items()
        if name == "RangeVar":
            name = body["relname"]
            if "schemaname" not in body and (name in level.ctes or not self._relations.elsewhere(name)):
                return [self._cte(body, level)]
            item = self._range(body)
            level.items.append(item)
            return [item]
        if name == "JoinExpr":
            return self._join(body, level)
        if name == "RangeSubselect":
            return [self._sub_select(body, level)]
        if name in {"RangeFunction", "RangeTableFunc", "JsonTable"}:
            self._expressions(level, level.visible, [body])
            item = Item(body.get("alias", {}).get("aliasname", ""), "function")
            level.items.append(item)
            return [item]
        if name == "RangeTableSample":
            argument = [one.get("A_Const", {}).get("ival", {}).get("ival") for one in body.get("args", ())]
            if not self._relations.policy.schema and ("repeatable" in body or argument != [100]):
                raise Unproven("TABLESAMPLE")
            return self._from(body["relation"], level)
        raise Unproven(f"{name} in FROM")

    def _range(self, body: Node) -> Item:
        schema, name = body.get("schemaname"), body.get("relname", "")
        if schema is None and "catalogname" not in body and self._relations.elsewhere(name):
            schema = self._relations.policy.schema
        if schema is None or "catalogname" in body:
            raise Unproven(f"a relation that is not qualified: {name}")
        shown = self._relations.shown(schema, name)
        if shown is None:
            raise Unproven(f"a relation that is not shown: {schema}.{name}")
        alias = body.get("alias", {})
        renamed = strings(alias.get("colnames", ()))
        columns = shown.relation.columns
        here = [*renamed, *(one.name for one in columns[len(renamed) :])][: len(columns)]
        names = {one.name: name for one, name in zip(columns, here, strict=True)}
        is_view = shown.relation.kind in "vm"
        item = Item(alias.get("aliasname", name), "view" if is_view else "table", shown, names)
        item.columns = dict(zip(reversed(here), reversed(columns), strict=True))  # the first of a name
        if shown.is_open:
            item.kind = "derived"  # nobody can tell which columns are its own
        item.boundary = not is_view
        item.hard = shown.relation.kind == "v" and not self._guards.plain_view(shown.relation.definition)
        return item

    def _cte(self, body: Node, level: Level) -> Item:
        name = body.get("relname", "")
        cte = level.ctes.get(name)
        if cte is None:
            raise Unproven(f"a relation that is not qualified: {name}")
        item = Item(body.get("alias", {}).get("aliasname", name), "cte", None, {}, cte.fenced, cte.hard)
        if cte.level is not None:
            level.loud = level.loud or cte.level.loud
        level.items.append(item)
        return item

    def _sub_select(self, body: Node, level: Level) -> Item:
        subquery = body["subquery"]
        select = subquery.get("SelectStmt")
        if select is None:
            raise Unproven("a sub-select of another kind")
        alias = body.get("alias", {}).get("aliasname", "")
        item = Item(alias, "derived", None, {}, "limitOffset" in select or "limitCount" in select)
        item.outputs = output_names(select, body.get("alias", {}))
        level.items.append(item)
        if self._is_catalog(subquery, select):
            item.boundary = True
            return item
        if not set(select) - {"op", "limitOption"}:  # (SELECT): one row without columns
            item.kind = "nothing"
            item.boundary = True
            return item
        inner = self._select(select, level.ctes, (level, *level.outer) if body.get("lateral") else level.outer)
        level.inner.append(inner)
        item.hard = self._guards.hard(select, inner)
        return item

    def _is_catalog(self, subquery: Node, select: Node) -> bool:
        items = select.get("fromClause", ())
        if len(items) != 1 or items[0].get("RangeVar", {}).get("schemaname") not in SYSTEM:
            return False
        body = items[0]["RangeVar"]
        if not self._expected.fits(subquery, body["schemaname"], body["relname"]):
            raise Unproven(f"a catalog that is not confined: {body['relname']}")
        return True

    def _join(self, body: Node, level: Level) -> list[Item]:
        kind = body.get("jointype", "JOIN_INNER")
        if kind not in NULLABLE:
            raise Unproven(f"a join of kind {kind}")
        left = self._from(body["larg"], level)
        before, level.visible = level.visible, [*level.visible, *left]  # LATERAL sees the left arm
        right = self._from(body["rarg"], level)
        level.visible = before
        both = [*left, *right]
        if "quals" in body:
            sides = NULLABLE[kind]
            confines = [] if kind == "JOIN_FULL" else [*(left if sides[0] else ()), *(right if sides[1] else ())]
            level.conditions.append(Condition(conjuncts(body["quals"]), both, confines, kind == "JOIN_FULL"))
        if "alias" in body:
            item = Item(body["alias"]["aliasname"], "join", None, {}, boundary=False)
            level.items.append(item)
            return [item]
        return both

    # -- what is checked of a level

    def _settle(self, level: Level, having: Node | None, inserted: Item | None = None) -> None:
        if not self._confines:
            for condition in level.conditions:
                self._expressions(level, condition.visible, condition.parts)
            self._expressions(level, level.visible, [having])
            return
        for condition in level.conditions:
            for part in condition.parts:
                self._condition(part, condition, level)
        for part in conjuncts(having):
            self._having(part, level)
        for item in level.items:
            if (
                item.shown is not None
                and item.shown.column is not None
                and item is not inserted
                and not (self._relations.by_policies or self._confined(item, level))
            ):
                raise Unproven(f"{item.alias} is not confined")
        level.loud = level.loud or any(one.loud for one in level.inner)
        for item in level.items:
            if not item.boundary and (level.loud or item.hard):
                raise Unproven(f"{item.alias} is no boundary")

    def _confined(self, item: Item, level: Level) -> bool:
        return any(
            self._keys.is_predicate(part, item, condition.visible)
            for condition in level.conditions
            if any(one is item for one in condition.confines)
            for part in condition.parts
        )

    def _condition(self, part: Node, condition: Condition, level: Level) -> None:
        visible = condition.visible
        if any(self._keys.is_predicate(part, one, visible) for one in visible):
            return
        self._expressions(level, visible, [part])
        harmless = Harmless(self._catalog, lambda fields: self._guards.column(fields, visible, level))
        if self._guards.silent(part, harmless):
            return
        level.loud = True
        if condition.full and "A_Expr" in part and strings(part["A_Expr"].get("name", ()))[-1:] == ["="]:
            for side in ("lexpr", "rexpr"):
                operand = part["A_Expr"][side]
                if not harmless(operand):
                    self._guards.guarded(operand, visible, level, harmless)
            return
        self._guards.guarded(part, visible, level, harmless)

    def _having(self, part: Node, level: Level) -> None:
        self._expressions(level, level.visible, [part], above=True)
        if Harmless(self._catalog, lambda fields: self._guards.column(fields, level.visible, level))(part):
            return
        columns, has_link = references(part)
        level.loud = level.loud or bool(columns) or has_link
        clauses = part.get("CaseExpr", {}).get("args", ())
        test = (
            clauses[0]["CaseWhen"]["expr"].get("A_Expr", {})
            if len(clauses) == 1 and "arg" not in part["CaseExpr"]
            else {}
        )
        call = test.get("lexpr", {}).get("FuncCall", {})
        if (
            strings(call.get("funcname", ())) != ["pg_catalog", "count"]
            or not call.get("agg_star")
            or "defresult" in part["CaseExpr"]
        ):
            raise Unproven("a HAVING that is not guarded")

    # -- expressions

    def _expressions(self, level: Level, visible: list[Item], values: list[Any], *, above: bool = False) -> None:
        """Every node below must be known; functions allowed; sub-selects confined; ordering operators guarded."""
        waiting: list[tuple[Any, bool]] = [(one, False) for one in values]
        while waiting:
            value, is_guarded = waiting.pop()
            if type(value) is list:
                waiting += [(one, is_guarded) for one in value if "String" not in one]
                continue
            if type(value) is not dict:
                continue
            for name, body in value.items():
                if (kind := type(body)) is not dict and kind is not list:
                    continue
                if name[0].isupper() and name not in EXPRESSIONS:
                    raise Unproven(f"a node {name}")
                if name == "SubLink":
                    enclosing = Level(level.outer, level.ctes, visible=visible, above=above)
                    inner = self._query(body["subselect"], level.ctes, (enclosing, *level.outer))
                    level.inner.append(inner)
                    waiting.append((body.get("testexpr"), is_guarded))
                    continue
                if name == "FuncCall":
                    self._calls.function(body)
                if name in {"ColumnRef", "A_Indirection"}:
                    self._calls.attribute(name, body, visible, level)
                if name == "CaseExpr" and not is_guarded and self._guards.is_guard(body, visible, level):
                    level.loud = level.loud or has_ordering(body, self._catalog)
                    waiting.append((body, True))
                    continue
                if (
                    name == "A_Expr"
                    and not is_guarded
                    and is_ordering(body, self._catalog)
                    and self._guards.needed(value, visible, level)
                ):
                    raise Unproven("an ordering operator that is not guarded")
                waiting.append((body, is_guarded))
