"""Sets: before 18 the planner takes a column that WHERE makes constant for constant above GROUPING SETS too, where it
is NULL in some groups: it sorts and removes duplicates wrongly. The predicate makes the tenant column such a one.

Promises: a level whose grouping sets hold the tenant column, and whose groups are sorted or made distinct, is refused
on such servers (docs/decisions/0032-sorted-grouping-sets.md)."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.errors import FeatureNotSupported
from proxy.sql.rewrite.edit import Edit
from proxy.sql.scope import Level, Tree
from proxy.sql.types import node

MENDED = 18  # the major whose planner knows that a grouping column is not the column below
_SORTED = ("sortClause", "distinctClause", "windowClause")


def refuse_sorted_sets(edit: Edit) -> None:
    """Raise FeatureNotSupported for a level that would be sorted wrongly."""
    if edit.world.catalog.major >= MENDED:
        return
    for level in edit.analysis.levels:
        groups = level.body.get("groupClause", [])
        if not any(node(one)[0] == "GroupingSet" for one in groups) or level.env is None:
            continue
        keyed = any(edit.analysis.types.value(one, level.env).key is not None for one in _expressions(groups, level))
        if keyed and (any(name in level.body for name in _SORTED) or "'over'" in repr(level.body["targetList"])):
            raise FeatureNotSupported(
                "the tenant column in GROUPING SETS, CUBE or ROLLUP cannot be sorted or made distinct here",
                hint="Leave the tenant column out of the grouping sets: it is the same in every row.",
            )


def _expressions(groups: list[Tree], level: Level) -> Iterator[Tree]:
    """What is grouped by; a number or a name may stand for a column of the target list."""
    targets = [one["ResTarget"] for one in level.body.get("targetList", [])]
    for one in groups:
        name, body = node(one)
        if name == "GroupingSet":
            yield from _expressions(body.get("content", []), level)
        elif name == "RowExpr":
            yield from _expressions(body.get("args", []), level)
        elif name == "A_Const":
            at = body.get("ival", {}).get("ival", 0)
            yield from (target["val"] for target in targets[at - 1 : at])
        else:
            yield one
            fields = body.get("fields", []) if name == "ColumnRef" else []
            if len(fields) == 1 and "String" in fields[0]:
                wanted = fields[0]["String"]["sval"]
                yield from (target["val"] for target in targets if target.get("name") == wanted)
