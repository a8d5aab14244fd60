"""Qualify: every relation is sent with its schema, so that neither a temporary table nor another search path can
capture the name.

Must not touch names that are no relations: CTEs, and the aliases that FOR UPDATE OF lists. A relation without an
alias stays without one: `orders.id` and `public.orders.id` both still mean it."""

from __future__ import annotations

from proxy.sql.rewrite.edit import Edit
from proxy.sql.scope import Source, Tree


def range_var(source: Source) -> Tree:
    """The body of the RangeVar that this table or view is."""
    item = source.item
    if "RangeTableSample" in item:
        item = item["RangeTableSample"]["relation"]
    found: Tree = item.get("RangeVar", item)
    return found


def qualify_names(edit: Edit) -> None:
    """Set the schema of every relation and drop the database's name."""
    for level in edit.analysis.levels:
        for source in level.sources:
            if source.visible is not None:
                body = range_var(source)
                if source.visible.relation.schema:  # else it was made since, wherever on the path
                    body["schemaname"] = source.visible.relation.schema
                body.pop("catalogname", None)
