"""SET CONSTRAINTS by name: the constraints of tables that the tenant sees.

Promises: a name of a hidden table's constraint is one that does not exist; what is sent names the schema. When a
constraint is checked is the transaction's own business. Source: PostgreSQL, AfterTriggerSetState in trigger.c.
"""

from __future__ import annotations

from typing import Any

from proxy.catalog.model import Relation
from proxy.errors import FeatureNotSupported, UndefinedObject
from proxy.sql.world import World

Node = dict[str, Any]


def qualified(tree: Node, world: World) -> Node:
    """The statement with every name under its schema; UndefinedObject for one that the tenant cannot know."""
    body = tree["ConstraintsSetStmt"]
    names = [{"RangeVar": _qualified(one["RangeVar"], world)} for one in body.get("constraints", ())]
    return {"ConstraintsSetStmt": {**body, "constraints": names}} if names else tree


def _qualified(name: Node, world: World) -> Node:
    given, constraint = name.get("schemaname"), name.get("relname", "")
    if name.get("catalogname", world.catalog.database) != world.catalog.database:
        full = f"{name['catalogname']}.{given}.{constraint}"
        raise FeatureNotSupported(f'cross-database references are not implemented: "{full}"')
    for schema in (given,) if given is not None else world.search_path:
        owners = [
            one for one in world.catalog.relations.values() if one.schema == schema and constraint in _constraints(one)
        ]
        seen = [one for one in owners if world.relation(one.schema, one.name) is not None]
        if seen and len(seen) < len(owners):
            raise FeatureNotSupported(f'constraint "{constraint}" is not the only one of its name')
        if seen:
            return {key: value for key, value in name.items() if key != "catalogname"} | {"schemaname": schema}
    full = constraint if given is None else f"{given}.{constraint}"
    raise UndefinedObject(f'constraint "{full}" does not exist')


def _constraints(relation: Relation) -> set[str]:
    return {one.name for one in relation.keys if one.kind != "i"} | {one.name for one in relation.foreign_keys}
