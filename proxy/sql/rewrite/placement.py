"""Placement: where the tenant predicate of each relation goes so that the answer is that of a database with own
rows only (isolation.md 2.1).

WHERE; the ON of the innermost join that has the relation on its nullable side; or a join fence `(R JOIN (SELECT) AS
_isoN ON R.c = key)`, a join with a one-row query without columns, where neither can take it. The base relation
stays in the range table in every form. Under `isolation: rls` there are none (decision 0084)."""

from __future__ import annotations

from proxy.sql.rewrite.edit import Edit, conjunction, replace_node
from proxy.sql.rewrite.positioned import is_positioned
from proxy.sql.scope import Join, Level, Source, Tree


def place_predicates(edit: Edit) -> None:
    """Put the predicate of every confined relation in, first among its conjuncts; none where the server's policies
    decide which rows there are.
    """
    if edit.world.policy.isolation == "rls":
        return
    for level in edit.analysis.levels:
        where: list[Tree] = []
        on: dict[int, tuple[Join, list[Tree]]] = {}
        for source in level.sources:
            if source.kind not in ("table", "view") or source.visible is None or not source.visible.confined:
                continue
            if source.target and (level.kind in ("InsertStmt", "MergeStmt") or is_positioned(level)):
                continue  # INSERT reads no row of it, merge.py has its own place, and a cursor is on an own row
            join = source.join
            if source.below_alias or (join is not None and (join.kind == "JOIN_FULL" or join.merged or join.aliased)):
                _fence(edit, source)
            elif join is not None:
                on.setdefault(id(join), (join, []))[1].append(edit.predicate(source, join.env))
                edit.note("row.place")
            else:
                where.append(edit.predicate(source, level.env))
                edit.note("row.place")
        for join, predicates in on.values():
            join.body["quals"] = conjunction([*predicates, *([join.body["quals"]] if "quals" in join.body else [])])
        if where:
            _put_first(level, where)


def _put_first(level: Level, predicates: list[Tree]) -> None:
    body = level.body
    body["whereClause"] = conjunction([*predicates, *([body["whereClause"]] if "whereClause" in body else [])])


def _fence(edit: Edit, source: Source) -> None:
    empty: Tree = {"SelectStmt": {"limitOption": "LIMIT_OPTION_DEFAULT", "op": "SETOP_NONE"}}
    one_row: Tree = {"RangeSubselect": {"subquery": empty, "alias": {"aliasname": edit.fresh()}}}
    fenced: Tree = {
        "jointype": "JOIN_INNER",
        "larg": dict(source.item),
        "rarg": one_row,
        "quals": edit.predicate(source, None),
    }
    replace_node(source.item, {"JoinExpr": fenced})
    edit.note("row.fence")
