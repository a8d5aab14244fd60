"""Boundaries: nothing that is not silent moves into or out of a derived table (isolation.md 2.5, rule 6).

In a loud level every derived table of its FROM becomes a boundary, in a quiet one every hard one: OFFSET 0, AS
MATERIALIZED, or a sub-select with OFFSET 0 around a view or an aliased join. Runs after the rules that make levels
loud, before the predicates are placed."""

from __future__ import annotations

from proxy.sql.rewrite.edit import Edit, fence_off, replace_node, star_of
from proxy.sql.scope import Level, Source, Tree


def set_boundaries(edit: Edit) -> None:
    """Make every boundary that is needed."""
    _spread(edit.analysis.levels)
    for level in edit.analysis.levels:
        for source in level.sources:
            if source.kind in ("derived", "cte", "view", "join") and (level.loud or source.hard) and not source.target:
                edit.note("row.boundary")
                _bound(edit, source)


def _spread(levels: tuple[Level, ...]) -> None:
    """A level is loud if anything nested in it is, or the body of a CTE it reads."""
    changed = True
    while changed:
        changed = False
        for level in levels:
            if level.loud:
                continue
            read = [one.cte.query for one in level.sources if one.cte is not None]
            if any(one.loud for one in level.children) or any(one is not None and one.level.loud for one in read):
                level.loud = changed = True


def _bound(edit: Edit, source: Source) -> None:
    if source.kind == "derived" and source.query is not None:
        if "SelectStmt" in source.item["RangeSubselect"]["subquery"]:
            fence_off(source.query.body)
    elif source.kind == "cte" and source.cte is not None:
        if "SelectStmt" in source.cte.body["ctequery"]:
            source.cte.body["ctematerialized"] = "CTEMaterializeAlways"
    elif source.kind == "view":
        _wrap_view(edit, source)
    elif source.kind == "join":
        body = source.item["JoinExpr"]
        alias = body.pop("alias")
        lateral = _looks_sideways(body)
        _put(source, star_of({"JoinExpr": body}, None), alias, lateral)


def _wrap_view(edit: Edit, source: Source) -> None:
    visible = source.visible
    if visible is None:  # a source of kind view always has one
        raise AssertionError("a view that is not visible")
    body = source.item["RangeVar"]
    alias = body.pop("alias", None) or {"aliasname": body["relname"]}
    where = None
    if visible.column is not None:
        inner = Source("view", body["relname"], source.level, source.item, visible, visible.column.name)
        where = edit.predicate(inner, None)
    _put(source, star_of({"RangeVar": body}, where), alias, False)
    source.kind = "derived"


def _put(source: Source, select: Tree, alias: Tree, lateral: bool) -> None:
    body: Tree = {"subquery": {"SelectStmt": select}, "alias": alias}
    if lateral:
        body["lateral"] = True
    replace_node(source.item, {"RangeSubselect": body})


def _looks_sideways(body: Tree) -> bool:
    """True where an arm may name FROM items outside the join: then the sub-select around it must be LATERAL too."""
    for arm in (body["larg"], body["rarg"]):
        for name, inner in arm.items():
            if name == "JoinExpr" and _looks_sideways(inner):
                return True
            if name in ("RangeFunction", "RangeTableFunc", "RangeTableSample") or inner.get("lateral"):
                return True
    return False
