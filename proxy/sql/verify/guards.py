"""What may run on rows of others: nothing that throws, unless a guard over all that it needs goes first."""

from __future__ import annotations

from proxy.catalog.model import Catalog, Column
from proxy.sql.parse import parse
from proxy.sql.verify.calm import calm
from proxy.sql.verify.harmless import Harmless
from proxy.sql.verify.keys import Keys
from proxy.sql.verify.levels import Item, Level, Node, Unproven, conjuncts, strings
from proxy.sql.verify.shapes import constant, references, soft, tables_only


class Guards:
    """Over the catalog and the keys of one statement."""

    def __init__(self, catalog: Catalog, keys: Keys) -> None:
        self._catalog = catalog
        self._keys = keys

    def silent(self, part: Node, harmless: Harmless) -> bool:
        """Whether a conjunct cannot throw whatever row it meets."""
        inner = part
        if part.get("BoolExpr", {}).get("boolop") == "NOT_EXPR":
            inner = part["BoolExpr"]["args"][0]
            if "SubLink" in inner and inner["SubLink"].get("subLinkType") != "EXISTS_SUBLINK":
                return False
        link = inner.get("SubLink")
        if link is None:
            return harmless(part)
        if link.get("subLinkType") not in {"EXISTS_SUBLINK", "ANY_SUBLINK"}:
            return False
        if strings(link.get("operName", ())) not in ([], ["="], ["pg_catalog", "="]):
            return False
        if "testexpr" in link and not harmless(link["testexpr"]):
            return False
        select = link["subselect"].get("SelectStmt", {})
        if (
            set(select) - {"targetList", "fromClause", "whereClause", "limitOption", "op"}
            or select.get("op") != "SETOP_NONE"
        ):
            return False
        plain = all(tables_only(one) for one in select.get("fromClause", ()))
        simple = all({"ColumnRef", "A_Const"} & set(one["ResTarget"]["val"]) for one in select.get("targetList", ()))
        return plain and simple and "CaseExpr" not in repr(select)

    def guarded(self, part: Node, visible: list[Item], level: Level, harmless: Harmless) -> None:
        """CASE WHEN guard THEN q END with a guard over everything that q needs; bare q only where there is nothing to
        guard, and nothing that throws for the planner to try out on statistics.
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
        for item in self.needed(result, visible, level):
            if not any(one is item for one in tests):
                raise Unproven(f"a condition on {item.alias} that is not guarded")
        if not tests and not calm(part, harmless) and not self._of_shared(result, visible, level):
            raise Unproven("a condition that the planner may try out on statistics")

    def is_guard(self, body: Node, visible: list[Item], level: Level) -> bool:
        """Whether a CASE guards all that its result needs."""
        clauses = body.get("args", ())
        if len(clauses) != 1 or "arg" in body or "defresult" in body:
            return False
        when = clauses[0]["CaseWhen"]
        found = [self._guard(one, visible, level) for one in conjuncts(when["expr"])]
        return all(one is not None for one in found) and all(
            any(one is item for one in found) for item in self.needed(when["result"], visible, level)
        )

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
                return found[0] if self._keys.is_predicate(body["arg"], found[0], some) else None
        return None

    def needed(self, node: Node, visible: list[Item], level: Level) -> list[Item]:
        """The tenant relations on whose other rows this must not run."""
        columns, has_link = references(node)
        every = level.tenants(visible)
        if has_link or not columns:
            return every if has_link or not constant(node) else []
        needed: list[Item] = []
        here = False
        for fields in columns:
            owners = self._owners(fields, visible, level)
            if owners is None:
                return every
            here = here or any(one in visible for one in owners)
            needed += [one for one in owners if any(one is other for other in every)]
        return needed if here else every

    def _of_shared(self, node: Node, visible: list[Item], level: Level) -> bool:
        """Whether it names columns of shared tables alone, whose statistics are nobody's."""
        columns, has_link = references(node)
        owners = [self._owners(fields, visible, level) for fields in columns]
        return not has_link and all(some and not any(one.tenant for one in some) for some in owners)

    def _owners(self, fields: list[str], visible: list[Item], level: Level) -> list[Item] | None:
        """The tables that may own a column; None where something else may."""
        for some in (visible, *(one.visible for one in level.outer)):
            if len(fields) > 1:
                found = [one for one in some if one.alias == fields[-2]]
                if found:
                    return found if all(one.kind == "table" for one in found) else None
                continue
            tables = [one for one in some if one.kind == "table" and fields[0] in one.columns]
            if any(one.kind not in {"table", "nothing"} for one in some):
                return None
            if tables:
                return tables
        return None

    def column(self, fields: list[str], visible: list[Item], level: Level) -> Column | None:
        """The column that a reference must mean; None where it may mean another."""
        owners = self._owners(fields, visible, level)
        if not owners:
            return None
        return next((one.columns[fields[-1]] for one in owners if fields[-1] in one.columns), None)

    def plain_view(self, definition: str) -> bool:
        """Every output of the view is a column of its query or something harmless over columns."""
        text = definition.rstrip().rstrip(";")
        tree = parse(text.encode(), size_limit=1 << 24, server_major=self._catalog.major)[0].tree
        return soft(tree["SelectStmt"], Harmless(self._catalog, lambda _: None))

    def hard(self, select: Node, level: Level) -> bool:
        """Whether an output of the select may throw."""
        arms = level.inner[:2] if select.get("op", "SETOP_NONE") != "SETOP_NONE" else []
        if arms:
            return any(self.hard(select[side], arm) for side, arm in zip(("larg", "rarg"), arms, strict=True))
        harmless = Harmless(self._catalog, lambda fields: self.column(fields, level.visible, level))
        return not soft(select, harmless)
