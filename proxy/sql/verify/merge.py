"""MERGE: the target's rows match only where its predicate in ON is true, and what no source matches is asked for it
again.

Source: isolation.md 2.5, rule 7. WHEN NOT MATCHED BY SOURCE meets every row of every tenant: its condition must begin
with the predicate, because the server evaluates the parts in their order, and the rest must be silent or guarded.
"""

from __future__ import annotations

from proxy.sql.verify.levels import Condition, Cte, Item, Level, Node, Unproven, conjuncts
from proxy.sql.verify.nodes import ACTION_FIELDS, MERGE_FIELDS
from proxy.sql.verify.proof import Proof

BY_TARGET, BY_SOURCE = "MERGE_WHEN_NOT_MATCHED_BY_TARGET", "MERGE_WHEN_NOT_MATCHED_BY_SOURCE"


class WholeProof(Proof):
    """One statement of any kind."""

    def _query(self, tree: Node, ctes: dict[str, Cte], outer: tuple[Level, ...]) -> Level:
        body = tree.get("MergeStmt")
        return super()._query(tree, ctes, outer) if body is None else self._merge(body, ctes, outer)

    def _merge(self, body: Node, ctes: dict[str, Cte], outer: tuple[Level, ...]) -> Level:
        if set(body) - MERGE_FIELDS:
            raise Unproven(f"fields {set(body) - MERGE_FIELDS} of MERGE")
        level = Level(outer, self._with(body, ctes, outer))
        target = self._target(body["relation"])
        level.items.append(target)
        sources = self._from(body["sourceRelation"], level)
        level.visible = [target, *sources]
        actions = [one["MergeWhenClause"] for one in body["mergeWhenClauses"]]
        full = {one.get("matchKind") for one in actions} >= {BY_TARGET, BY_SOURCE}
        level.conditions.append(Condition(conjuncts(body["joinCondition"]), level.visible, [target], full))
        for one in actions:
            self._action(one, target, sources, level)
        self._expressions(level, level.visible, [body.get("returningClause")])
        self._settle(level, None)
        return level

    def _action(self, action: Node, target: Item, sources: list[Item], level: Level) -> None:
        if set(action) - ACTION_FIELDS:
            raise Unproven(f"fields {set(action) - ACTION_FIELDS} of WHEN")
        known = {"MERGE_WHEN_MATCHED": level.visible, BY_TARGET: sources, BY_SOURCE: [target]}
        visible = known.get(action.get("matchKind", ""))
        if visible is None:
            raise Unproven("WHEN of an unknown kind")
        parts = conjuncts(action.get("condition"))
        if action["matchKind"] == BY_SOURCE and target.shown is not None and target.shown.column is not None:
            if not parts or not self._keys.is_predicate(parts[0], target, visible):
                raise Unproven("WHEN NOT MATCHED BY SOURCE without the predicate")
            condition = Condition(parts, visible, visible)
            for part in parts:
                self._condition(part, condition, level)
        else:
            self._expressions(level, visible, parts)
        self._expressions(level, visible, [action.get("targetList"), action.get("values")])
        command = action.get("commandType")
        if command == "CMD_INSERT":
            self._new_row(action, target)
        elif command == "CMD_UPDATE":
            self._assignments(action.get("targetList", []), target, level, visible)
        elif command not in {"CMD_DELETE", "CMD_NOTHING"}:
            raise Unproven(f"WHEN ... THEN {command}")

    def _new_row(self, action: Node, target: Item) -> None:
        shown = target.shown
        assert shown is not None
        if shown.column is None:  # the session's own table, or the tenant's whole
            return
        columns = [one["ResTarget"].get("name") for one in action.get("targetList", ())]
        values = action.get("values", ())
        if columns.count(shown.column.name) != 1 or len(values) != len(columns):
            raise Unproven("WHEN NOT MATCHED THEN INSERT without the tenant column")
        if not self._keys.is_own(values[columns.index(shown.column.name)], shown):
            raise Unproven("a row without the tenant's key")
