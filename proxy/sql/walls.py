"""Behind policies at the server nothing is shown that they do not hold for.

Promises: a relation of tenants exists for the planner only while the server's own wall stands around it, so a table
that a migration has just made is hidden until `partywall provision` has run again. Only the picture of the database is
asked; who may change the wall is the business of catalog/walls.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.catalog.model import Relation

if TYPE_CHECKING:
    from proxy.sql.world import Visible, World

SYSTEM = frozenset({"pg_catalog", "information_schema"})
STORED = "a materialized view holds rows that no policy filters"


def unwalled(world: World, seen: Visible) -> str:
    """Why the server would show other tenants' rows in what a tenant may see; "" where it would not."""
    relation = seen.relation
    if relation.kind == "m":
        return STORED
    if seen.access == "view":
        return _through(world, relation, frozenset())
    assert seen.column is not None  # of a tenant's relation
    if relation.wall != (seen.column.name, seen.key):
        return f"the server has not the policy for its tenant column {seen.column.name}, and nothing but that"
    return ""


def _through(world: World, view: Relation, within: frozenset[int]) -> str:
    """Why rows of others can come through a view."""
    if not view.security_invoker and view.owner in world.catalog.bypassing:
        return f"{view.schema}.{view.name} has the rights of {view.owner}, for whom no policy holds"
    for oid in view.reads:
        one = world.catalog.relations_by_oid.get(oid)
        if one is None or one.schema in SYSTEM or oid in within:
            continue
        if one.kind == "v":
            why = _through(world, one, within | {view.oid})
            if why:
                return why
            continue
        seen = world.relation(one.schema, one.name)
        if seen is None or seen.access not in ("tenant", "shared"):
            return f"{view.schema}.{view.name} reads {one.schema}.{one.name}, for which no policy holds"
    return ""
