"""The proof: a walk over one statement that gathers its levels and then checks each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.catalog.model import Column
from proxy.sql.parse import parse
from proxy.sql.verify.catalogs import Expected, bare
from proxy.sql.verify.harmless import Harmless
from proxy.sql.verify.levels import Condition, Cte, Item, Level, Node, conjuncts, strings
from proxy.sql.verify.nodes import EXPRESSIONS, SELECT_FIELDS
from proxy.sql.verify.relations import KEYS, SYSTEM, Relations, Shown

NULLABLE = {
    "JOIN_LEFT": (False, True),
    "JOIN_RIGHT": (True, False),
    "JOIN_FULL": (True, True),
    "JOIN_INNER": (True, True),
}


class Unproven(Exception):
    """What could not be proved; for the log, never for a client."""


class Proof:
    """One statement."""

    def __init__(self, relations: Relations, expected: Expected, keys: Mapping[str, str]) -> None:
        self._relations = relations
        self._catalog = relations.catalog
        self._expected = expected
        self._keys = keys
        self._confines = True

    # -- statements

    def statement(self, tree: Node) -> None:
        """Unproven unless the statement is confined."""
        self._confines = self._names_confined(tree)
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
        self._expressions(level, level.visible, rest)
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
            again = bool(clause.get("recursive")) and _names_itself(query, one["ctename"])
            fenced = one.get("ctematerialized") == "CTEMaterializeAlways" or "SelectStmt" not in query or again
            if set(one) & {"search_clause", "cycle_clause"}:
                fenced = True
            level = self._query(query, seen, outer)
            hard = "SelectStmt" in query and self._hard(query["SelectStmt"], level)
            seen = {**seen, one["ctename"]: Cte(fenced, hard, level)}
        return seen

    def _change(self, name: str, body: Node, ctes: dict[str, Cte], outer: tuple[Level, ...]) -> Level:
        level = Level(outer, self._with(body, ctes, outer))
        target = self._target(body["relation"])
        level.items.append(target)
        level.visible.append(target)
        for one in (*body.get("fromClause", ()), *body.get("usingClause", ())):
            level.visible += self._from(one, level)
        if name == "InsertStmt":
            self._insert(body, target, level)
        elif "whereClause" in body:
            level.conditions.append(Condition(conjuncts(body["whereClause"]), level.visible, level.visible))
        if name == "UpdateStmt":
            self._assignments(body.get("targetList", []), target)
            self._expressions(level, level.visible, body.get("targetList", []))
        self._expressions(level, level.visible, [body.get("returningClause"), body.get("returningList")])
        known = {
            "relation",
            "targetList",
            "whereClause",
            "fromClause",
            "usingClause",
            "returningList",
            "returningClause",
            "withClause",
        }
        if name == "InsertStmt":
            known = {
                "relation",
                "cols",
                "selectStmt",
                "onConflictClause",
                "returningList",
                "returningClause",
                "withClause",
                "override",
            }
        if set(body) - known:
            raise Unproven(f"fields {set(body) - known} of {name}")
        self._settle(level, None, target if name == "InsertStmt" else None)
        return level

    def _target(self, body: Node) -> Item:
        item = self._range(body)
        if item.shown is None or item.shown.access != "tenant":
            raise Unproven("a target that is not the tenant's table")
        return item

    # -- INSERT

    def _insert(self, body: Node, target: Item, level: Level) -> None:
        shown = target.shown
        assert shown is not None
        assert shown.column is not None
        columns = [one["ResTarget"]["name"] for one in body.get("cols", ())]
        if columns.count(shown.column.name) != 1 or "selectStmt" not in body:
            raise Unproven("an INSERT without the tenant column")
        select = body["selectStmt"]["SelectStmt"]
        source = self._select(select, level.ctes, level.outer)
        level.inner.append(source)
        self._gives_key(select, columns.index(shown.column.name), shown, source)
        conflict = body.get("onConflictClause")
        if conflict is None:
            return
        if conflict.get("action") == "ONCONFLICT_UPDATE":
            excluded = Item("excluded", "nothing", None)
            self._assignments(conflict.get("targetList", []), target)
            both = [target, excluded]
            condition = Condition(conjuncts(conflict.get("whereClause")), both, [target])
            if not any(self._is_predicate(one, target, both) for one in condition.parts):
                raise Unproven("ON CONFLICT DO UPDATE without the predicate")
            level.conditions.append(condition)
            self._expressions(level, both, conflict.get("targetList", []))
        for one in conflict.get("infer", {}).get("indexElems", ()):
            self._expressions(level, [target], [one])

    def _gives_key(self, select: Node, at: int, shown: Shown, level: Level) -> None:
        if select.get("op", "SETOP_NONE") != "SETOP_NONE":
            for side, arm in zip(("larg", "rarg"), level.inner[-2:], strict=True):
                self._gives_key(select[side], at, shown, arm)
            return
        if "valuesLists" in select:
            values = [row["List"]["items"] for row in select["valuesLists"]]
            if not values or not all(at < len(row) and self._is_key(row[at], shown) for row in values):
                raise Unproven("a row without the tenant's key")
            return
        targets = [one["ResTarget"]["val"] for one in select.get("targetList", ())]
        found = list(self._outputs(targets, level))
        if at >= len(found) or not (self._is_key(found[at], shown) or self._is_tenant_column(found[at], shown, level)):
            raise Unproven("a row whose tenant key is not proved")

    def _outputs(self, targets: list[Node], level: Level) -> Iterator[Node]:
        """Targets with * of relations spread out; ends before a * that cannot be."""
        for one in targets:
            fields = one.get("ColumnRef", {}).get("fields", ())
            if not fields or "A_Star" not in fields[-1]:
                yield one
                continue
            owner = strings(fields)
            for item in level.visible:
                if owner and item.alias != owner[-1]:
                    continue
                if item.kind != "table" or item.shown is None:
                    return
                for column in item.shown.relation.columns:
                    names = [{"String": {"sval": item.alias}}, {"String": {"sval": item.names[column.name]}}]
                    yield {"ColumnRef": {"fields": names}}

    def _is_tenant_column(self, node: Node, shown: Shown, level: Level) -> bool:
        """A column of a confined relation that holds the same key; confined: _settle proves it of every relation."""
        fields = strings(node.get("ColumnRef", {}).get("fields", ()))
        for item in level.visible:
            own = item.shown
            if own is None or own.column is None or own.key != shown.key or item.kind not in {"table", "view"}:
                continue
            name = item.names.get(own.column.name)
            if fields == [item.alias, name] or (fields == [name] and len(level.visible) == 1):
                return own.column.type == (shown.column.type if shown.column else 0)
        return False

    @staticmethod
    def _assignments(targets: list[Node], target: Item) -> None:
        shown = target.shown
        assert shown is not None
        assert shown.column is not None
        if any(one["ResTarget"].get("name") == shown.column.name for one in targets):
            raise Unproven("an assignment to the tenant column")

    # -- FROM

    def _from(self, node: Node, level: Level) -> list[Item]:
        """Adds a FROM item to the level; what of it the rest of the level can name."""
        ((name, body),) = node.items()
        if name == "RangeVar":
            if "schemaname" not in body:
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
            argument = [one.get("A_Const", {}) for one in body.get("args", ())]
            if len(argument) != 1 or "repeatable" in body or argument[0].get("ival", {}).get("ival") != 100:
                raise Unproven("TABLESAMPLE")
            return self._from(body["relation"], level)
        raise Unproven(f"{name} in FROM")

    def _range(self, body: Node) -> Item:
        schema, name = body.get("schemaname"), body.get("relname", "")
        if schema is None or "catalogname" in body:
            raise Unproven(f"a relation that is not qualified: {name}")
        shown = self._relations.shown(schema, name)
        if shown is None:
            raise Unproven(f"a relation that is not shown: {schema}.{name}")
        alias = body.get("alias", {})
        renamed = strings(alias.get("colnames", ()))
        names = {
            column.name: renamed[at] if at < len(renamed) else column.name
            for at, column in enumerate(shown.relation.columns)
        }
        is_view = shown.relation.kind in "vm"
        item = Item(alias.get("aliasname", name), "view" if is_view else "table", shown, names)
        item.boundary = not is_view
        item.hard = shown.relation.kind == "v" and not self._plain_view(shown)
        return item

    def _plain_view(self, shown: Shown) -> bool:
        """Every output of the view is a column of its query or something harmless over columns."""
        text = shown.relation.definition.rstrip().rstrip(";")
        tree = parse(text.encode(), size_limit=1 << 24, server_major=self._catalog.major)[0].tree
        harmless = Harmless(self._catalog, lambda _: None)
        return _soft(tree["SelectStmt"], harmless)

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
        item.hard = self._hard(select, inner)
        return item

    def _is_catalog(self, subquery: Node, select: Node) -> bool:
        items = select.get("fromClause", ())
        if len(items) != 1 or items[0].get("RangeVar", {}).get("schemaname") not in SYSTEM:
            return False
        body = items[0]["RangeVar"]
        if bare(subquery) != self._expected.select(body["schemaname"], body["relname"]):
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

    def _names_confined(self, tree: Node) -> bool:
        """Does the statement name a relation that holds rows of others? If not, nothing needs guards or boundaries."""
        waiting: list[Any] = [tree]
        while waiting:
            one = waiting.pop()
            if isinstance(one, list):
                waiting += one
            elif isinstance(one, dict):
                if isinstance(one.get("relname"), str):
                    shown = self._relations.shown(one.get("schemaname", ""), one["relname"])
                    if shown is not None and shown.column is not None:
                        return True
                waiting += one.values()
        return False

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
                and not self._confined(item, level)
            ):
                raise Unproven(f"{item.alias} is not confined")
        level.loud = level.loud or any(one.loud for one in level.inner)
        for item in level.items:
            if not item.boundary and (level.loud or item.hard):
                raise Unproven(f"{item.alias} is no boundary")

    def _confined(self, item: Item, level: Level) -> bool:
        return any(
            self._is_predicate(part, item, condition.visible)
            for condition in level.conditions
            if any(one is item for one in condition.confines)
            for part in condition.parts
        )

    def _condition(self, part: Node, condition: Condition, level: Level) -> None:
        visible = condition.visible
        if any(self._is_predicate(part, one, visible) for one in visible):
            return
        self._expressions(level, visible, [part])
        harmless = Harmless(self._catalog, lambda fields: self._column(fields, visible, level))
        if self._silent(part, harmless):
            return
        level.loud = True
        if condition.full and "A_Expr" in part and strings(part["A_Expr"].get("name", ()))[-1:] == ["="]:
            for side in ("lexpr", "rexpr"):
                operand = part["A_Expr"][side]
                if not harmless(operand):
                    self._guarded(operand, visible, level)
            return
        self._guarded(part, visible, level)

    def _silent(self, part: Node, harmless: Harmless) -> bool:
        inner = part
        if part.get("BoolExpr", {}).get("boolop") == "NOT_EXPR":
            inner = part["BoolExpr"]["args"][0]
            if "SubLink" in inner and inner["SubLink"].get("subLinkType") != "EXISTS_SUBLINK":
                return False
        link = inner.get("SubLink")
        if link is None:
            return harmless(part)
        if link.get("subLinkType") not in {"EXISTS_SUBLINK", "ANY_SUBLINK"} or "operName" in link:
            return False
        if "testexpr" in link and not harmless(link["testexpr"]):
            return False
        select = link["subselect"].get("SelectStmt", {})
        if (
            set(select) - {"targetList", "fromClause", "whereClause", "limitOption", "op"}
            or select.get("op") != "SETOP_NONE"
        ):
            return False
        plain = all(_tables_only(one) for one in select.get("fromClause", ()))
        simple = all({"ColumnRef", "A_Const"} & set(one["ResTarget"]["val"]) for one in select.get("targetList", ()))
        return plain and simple and "CaseExpr" not in repr(select)

    def _guarded(self, part: Node, visible: list[Item], level: Level) -> None:
        """CASE WHEN guard THEN q END with a guard over everything that q needs; bare q only where there is nothing to
        guard.
        """
        body = part.get("CaseExpr", {})
        clauses = body.get("args", ())
        tests: list[Item] = []
        result = part
        if len(clauses) == 1 and "arg" not in body and "defresult" not in body:
            when = clauses[0]["CaseWhen"]
            found = [self._guard(one, visible, level) for one in conjuncts(when["expr"])]
            if all(one is not None for one in found):
                tests, result = [one for one in found if one is not None], when["result"]
        for item in self._needed(result, visible, level):
            if not any(one is item for one in tests):
                raise Unproven(f"a condition on {item.alias} that is not guarded")

    def _guard(self, node: Node, visible: list[Item], level: Level) -> Item | None:
        body = node.get("BooleanTest", {})
        if body.get("booltesttype") != "IS_NOT_FALSE":
            return None
        named = strings(body["arg"].get("A_Expr", {}).get("lexpr", {}).get("ColumnRef", {}).get("fields", ()))
        if len(named) != 2:
            return None
        for some in (visible, *(one.visible for one in level.outer)):
            found = [one for one in some if one.alias == named[0]]
            if found:
                return found[0] if self._is_predicate(body["arg"], found[0], some) else None
        return None

    def _needed(self, node: Node, visible: list[Item], level: Level) -> list[Item]:
        """The tenant relations on whose other rows this must not run."""
        columns, has_link = _references(node)
        every = level.tenants(visible)
        if has_link or not columns:
            return every if has_link or not _constant(node) else []
        needed: list[Item] = []
        here = False
        for fields in columns:
            owners = self._owners(fields, visible, level)
            if owners is None:
                return every
            here = here or any(one in visible for one in owners)
            needed += [one for one in owners if one.tenant]
        return needed if here else every

    def _owners(self, fields: list[str], visible: list[Item], level: Level) -> list[Item] | None:
        """The tables that may own a column; None where something else may."""
        for some in (visible, *(one.visible for one in level.outer)):
            if len(fields) > 1:
                found = [one for one in some if one.alias == fields[-2]]
                if found:
                    return found if all(one.kind == "table" for one in found) else None
                continue
            tables = [one for one in some if one.kind == "table" and fields[0] in one.names.values()]
            if any(one.kind not in {"table", "nothing"} for one in some):
                return None
            if tables:
                return tables
        return None

    def _column(self, fields: list[str], visible: list[Item], level: Level) -> Column | None:
        owners = self._owners(fields, visible, level)
        if not owners:
            return None
        for item in owners:
            for name, here in item.names.items():
                if here == fields[-1] and item.shown is not None:
                    return item.shown.relation.column(name)
        return None

    def _having(self, part: Node, level: Level) -> None:
        self._expressions(level, level.visible, [part])
        if Harmless(self._catalog, lambda fields: self._column(fields, level.visible, level))(part):
            return
        columns, has_link = _references(part)
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

    def _hard(self, select: Node, level: Level) -> bool:
        arms = level.inner[-2:] if select.get("op", "SETOP_NONE") != "SETOP_NONE" else []
        if arms:
            return any(self._hard(select[side], arm) for side, arm in zip(("larg", "rarg"), arms, strict=True))
        harmless = Harmless(self._catalog, lambda fields: self._column(fields, level.visible, level))
        return not _soft(select, harmless)

    # -- expressions

    def _expressions(self, level: Level, visible: list[Item], values: list[Any]) -> None:
        """Every node below must be known; functions allowed; sub-selects confined; ordering operators guarded."""
        waiting: list[tuple[Any, bool]] = [(one, False) for one in values]
        while waiting:
            value, is_guarded = waiting.pop()
            if isinstance(value, list):
                waiting += [(one, is_guarded) for one in value]
                continue
            if not isinstance(value, dict):
                continue
            for name, body in value.items():
                if name[0].isupper() and name not in EXPRESSIONS:
                    raise Unproven(f"a node {name}")
                if name == "SubLink":
                    enclosing = Level(level.outer, level.ctes, visible=visible)
                    inner = self._query(body["subselect"], level.ctes, (enclosing, *level.outer))
                    level.inner.append(inner)
                    waiting.append((body.get("testexpr"), is_guarded))
                    continue
                if name == "FuncCall":
                    self._call(body)
                if name == "CaseExpr" and not is_guarded and self._is_guard(body, visible, level):
                    level.loud = level.loud or _has_ordering(body, self._catalog)
                    waiting.append((body, True))
                    continue
                if (
                    name == "A_Expr"
                    and not is_guarded
                    and _is_ordering(body, self._catalog)
                    and self._needed(value, visible, level)
                ):
                    raise Unproven("an ordering operator that is not guarded")
                waiting.append((body, is_guarded))

    def _is_guard(self, body: Node, visible: list[Item], level: Level) -> bool:
        clauses = body.get("args", ())
        if len(clauses) != 1 or "arg" in body or "defresult" in body:
            return False
        when = clauses[0]["CaseWhen"]
        found = [self._guard(one, visible, level) for one in conjuncts(when["expr"])]
        return all(one is not None for one in found) and all(
            any(one is item for one in found) for item in self._needed(when["result"], visible, level)
        )

    def _call(self, body: Node) -> None:
        names = strings(body.get("funcname", ()))
        schema, name = (names[-2] if len(names) > 1 else None), names[-1]
        if name == "set_config" and not all({"A_Const", "ParamRef"} & set(one) for one in body.get("args", ())):
            raise Unproven("set_config() of a value")
        if not self._relations.callable(schema, name):
            raise Unproven(f"a function {name}")

    # -- keys

    def _is_predicate(self, node: Node, item: Item, visible: list[Item]) -> bool:
        """`alias.column OPERATOR(pg_catalog.=) 'key'::type` of this item, where its alias is its own."""
        body = node.get("A_Expr", {})
        shown = item.shown
        if (
            shown is None
            or shown.column is None
            or body.get("kind") != "AEXPR_OP"
            or strings(body["name"]) != ["pg_catalog", "="]
        ):
            return False
        column = item.names.get(shown.column.name)
        if strings(body.get("lexpr", {}).get("ColumnRef", {}).get("fields", ())) != [item.alias, column]:
            return False
        if sum(one.alias == item.alias for one in visible) != 1 or list(item.names.values()).count(column or "") != 1:
            return False
        return self._is_key(body.get("rexpr", {}), shown)

    def _is_key(self, node: Node, shown: Shown) -> bool:
        cast = node.get("TypeCast", {})
        constant = cast.get("arg", {}).get("A_Const", {})
        names = strings(cast.get("typeName", {}).get("names", ()))
        assert shown.column is not None
        wanted = self._keys.get(shown.key)
        return (
            wanted is not None
            and constant.get("sval") == ({"sval": wanted} if wanted else {})
            and names == ["pg_catalog", KEYS[shown.column.type]]
            and not set(cast["typeName"]) & {"typmods", "arrayBounds", "setof", "pct_type"}
        )


def _soft(select: Node, harmless: Harmless) -> bool:
    """Every output is harmless, in every arm; VALUES hold literals only."""
    if select.get("op", "SETOP_NONE") != "SETOP_NONE":
        return _soft(select["larg"], harmless) and _soft(select["rarg"], harmless)
    if "valuesLists" in select:
        return all("A_Const" in one for row in select["valuesLists"] for one in row["List"].get("items", ()))
    for one in select.get("targetList", ()):
        value = one["ResTarget"]["val"]
        fields = value.get("ColumnRef", {}).get("fields", ())
        if fields and "A_Star" in fields[-1]:
            continue
        if not harmless(value):
            return False
    return True


def _tables_only(node: Node) -> bool:
    if "JoinExpr" in node:
        return _tables_only(node["JoinExpr"]["larg"]) and _tables_only(node["JoinExpr"]["rarg"])
    if "RangeSubselect" in node:  # the one row of a fence
        return not set(node["RangeSubselect"]["subquery"].get("SelectStmt", {"x": 1})) - {"op", "limitOption"}
    return "RangeVar" in node


def _references(node: Any) -> tuple[list[list[str]], bool]:
    """The columns that an expression names outside sub-selects, and whether it has one."""
    columns: list[list[str]] = []
    has_link = False
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            for name, body in one.items():
                if name == "ColumnRef":
                    columns.append(strings(body.get("fields", ())))
                elif name == "SubLink":
                    has_link = True
                else:
                    waiting.append(body)
    return columns, has_link


def _constant(node: Any) -> bool:
    """No function, no column, no sub-select: the same whatever the row, and computed before any."""
    return not any(word in repr(node) for word in ("'FuncCall'", "'ColumnRef'", "'SubLink'"))


def _names_itself(query: Any, name: str) -> bool:
    waiting = [query]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            body = one.get("RangeVar")
            if isinstance(body, dict) and "schemaname" not in body and body.get("relname") == name:
                return True
            waiting += one.values()
    return False


def _is_ordering(body: Node, catalog: Any) -> bool:
    names = strings(body.get("name", ()))
    return bool(names) and any(one.oid in catalog.ordering_operators for one in catalog.operators.get(names[-1], ()))


def _has_ordering(node: Any, catalog: Any) -> bool:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            if "A_Expr" in one and _is_ordering(one["A_Expr"], catalog):
                return True
            waiting += one.values()
    return False
