"""Columns that are named with a schema: the server looks for that schema, and says that it may not when it is hidden.

Where the tenant sees nothing of the schema its name is replaced by one that nobody can have, so that what the server
says is what it says of a schema that is not there: none of its messages has the schema's name in it.
Source: PostgreSQL documentation, "Column References"; parser/parse_relation.c, refnameNamespaceItem.
"""

from __future__ import annotations

from proxy.sql.nodes import Node, Nodes, rebuilt
from proxy.sql.world import World

NOWHERE = "pg_absent"  # no schema may begin with pg_
TEMPORARY = "pg_temp"


def send_nowhere(nodes: Nodes, world: World) -> Node:
    """The statement with every such schema replaced. The input is not changed."""
    if not any(_is_far(body, world) for body in nodes.of("ColumnRef")):
        return nodes.tree

    def change(value: Node, edited: Node) -> Node:
        if "ColumnRef" in value and _is_far(value["ColumnRef"], world):
            edited["ColumnRef"]["fields"][-3] = {"String": {"sval": NOWHERE}}
        return edited

    found: Node = rebuilt(nodes.tree, change)
    return found


def _is_far(body: Node, world: World) -> bool:
    fields = [one.get("String", {}).get("sval", "") for one in body.get("fields", ())]
    if len(fields) != 3 and (len(fields) != 4 or fields[0] != world.catalog.database):
        return False
    schema = fields[-3]
    return schema not in (TEMPORARY, NOWHERE) and not world.shows_schema(schema)
