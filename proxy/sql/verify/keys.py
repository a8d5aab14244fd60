"""Where the tenant's key stands: in predicates, and in the rows that an INSERT makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxy.sql.verify.levels import Item, Level, Node, Unproven, strings
from proxy.sql.verify.relations import KEYS, Shown


class Keys:
    """keys: rule key name -> the tenant's value."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys

    def is_predicate(self, node: Node, item: Item, visible: list[Item]) -> bool:
        """`alias.column OPERATOR(pg_catalog.=) 'key'::type` of this item, where its alias is its own."""
        body = node.get("A_Expr")
        if body is None or strings(body.get("name", ())) != ["pg_catalog", "="] or body.get("kind") != "AEXPR_OP":
            return False
        shown = item.shown
        if shown is None or shown.column is None:
            return False
        column = item.names.get(shown.column.name)
        if strings(body.get("lexpr", {}).get("ColumnRef", {}).get("fields", ())) != [item.alias, column]:
            return False
        if sum(one.alias == item.alias for one in visible) != 1 or list(item.names.values()).count(column or "") != 1:
            return False
        return self.is_key(body.get("rexpr", {}), shown)

    def is_key(self, node: Node, shown: Shown) -> bool:
        """Whether it is the tenant's key as a constant of the column's type."""
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

    def is_own(self, node: Node, shown: Shown) -> bool:
        """The key, or CASE WHEN anything THEN key END: the key or NULL, which a tenant column does not take."""
        body = node.get("CaseExpr", {})
        whens = body.get("args", ())
        if whens and not set(body) - {"args", "location"}:
            return all(self.is_key(one["CaseWhen"]["result"], shown) for one in whens)
        return self.is_key(node, shown)

    def is_tenant_column(self, node: Node, shown: Shown, level: Level) -> bool:
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

    def gives_key(self, select: Node, at: int, shown: Shown, level: Level, last: bool = False) -> None:
        """Unproven unless every row that the select makes has the key at this place; last: of a column list."""
        if select.get("op", "SETOP_NONE") != "SETOP_NONE":
            for side, arm in zip(("larg", "rarg"), level.inner[:2], strict=True):
                self.gives_key(select[side], at, shown, arm, last)
            return
        if "valuesLists" in select:
            values = [row["List"]["items"] for row in select["valuesLists"]]
            if not values or not all(at < len(row) and self.is_own(row[at], shown) for row in values):
                raise Unproven("a row without the tenant's key")
            return
        targets = [one["ResTarget"]["val"] for one in select.get("targetList", ())]
        if last and targets and self.is_own(targets[-1], shown):
            return  # behind a * too: the server takes as many values as there are columns, neither more nor fewer
        found = list(self._outputs(targets, level))
        if at >= len(found) or not (self.is_own(found[at], shown) or self.is_tenant_column(found[at], shown, level)):
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
