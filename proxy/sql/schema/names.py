"""Names in a statement that is sent as it came: every one that says its schema says one that the tenant sees.

A name without a schema means, at the server, something on the search path, where the tenant's role can use its own
schema and the shared ones only; so it needs no more than not to be one of the server's catalogs, which show everybody.
What is hidden is answered as what does not exist: 42P01 within a query, else 3F000, whether it exists or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.errors import FeatureNotSupported, UndefinedObject, UndefinedTable
from proxy.sql.world import SYSTEM_SCHEMAS, World

Node = dict[str, Any]

QUERIES = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
# Lists of strings that are no qualified names.
PLAIN = frozenset({
    "aliascolnames", "aliases", "args", "attlist", "attrs", "colNames", "colnames", "cols", "columns", "fields",
    "fk_attrs", "fk_del_set_cols", "indirection", "keys", "pk_attrs", "stat_types", "usingClause", "vals",
})  # fmt: skip
# Objects that are named under the relation or type that they belong to.
WITHIN = frozenset({
    "OBJECT_ATTRIBUTE", "OBJECT_COLUMN", "OBJECT_DEFAULT", "OBJECT_DOMCONSTRAINT", "OBJECT_POLICY", "OBJECT_RULE",
    "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER",
})  # fmt: skip
TYPES = ("objectType", "objtype", "renameType", "removeType")
CATALOG_HINT = "Read catalogs in a statement of its own."


def check_names(tree: Node, world: World) -> None:
    """A Refusal for the first name that leads out of what the tenant sees."""
    for kind, value, queried, location in _named(tree, False, "", None):
        if kind == "relation":
            _relation(value, queried, world)
        else:
            _qualified(value, world, location)


def _relation(body: Node, queried: bool, world: World) -> None:
    schema, name = body.get("schemaname"), str(body["relname"])
    database = body.get("catalogname", world.catalog.database)
    if database != world.catalog.database:
        raise FeatureNotSupported(f'cross-database references are not implemented: "{database}.{schema}.{name}"')
    visible = world.relation(schema, name)
    if visible is not None and visible.access == "catalog":
        raise FeatureNotSupported(f'relation "{name}" is not supported here', hint=CATALOG_HINT)
    if schema is None or schema in world.policy.path:
        return
    if schema in SYSTEM_SCHEMAS:
        raise FeatureNotSupported(f'relation "{schema}.{name}" is not supported here', hint=CATALOG_HINT)
    if queried:
        raise UndefinedTable(f'relation "{schema}.{name}" does not exist', location=body.get("location", 0))
    raise UndefinedObject(f'schema "{schema}" does not exist', sqlstate="3F000")


def _qualified(names: list[str], world: World, location: int | None) -> None:
    if len(names) < 2:
        return
    schema = names[-2]
    if schema not in (*SYSTEM_SCHEMAS, *world.policy.path) or names[:-2] not in ([], [world.catalog.database]):
        raise UndefinedObject(f'schema "{schema}" does not exist', sqlstate="3F000", location=location)


def _named(value: Any, queried: bool, key: str, location: int | None) -> Iterator[tuple[str, Any, bool, int | None]]:
    """Every RangeVar's body, and every list of strings that may be a qualified name."""
    if isinstance(value, list):
        texts = [one["String"].get("sval", "") for one in value if set(one) == {"String"}]
        if texts and len(texts) == len(value):
            if key not in PLAIN:
                yield "name", texts, queried, location
            return
        for one in value:
            yield from _named(one, queried, key, location)
    elif isinstance(value, dict):
        if isinstance(value.get("relname"), str):
            yield "relation", value, queried, None
        within = any(value.get(one) in WITHIN for one in TYPES)
        for name, one in value.items():
            if within and name in ("object", "objects"):
                for names in _lists(one):
                    yield "name", names[:-1], queried, None
                continue
            if name == "arg" and value.get("defname") == "owned_by":
                for names in _lists(one):
                    yield "name", names[:-1], queried, None
                continue
            yield from _named(one, queried or name in QUERIES, name, value.get("location", location))


def _lists(value: Any) -> Iterator[list[str]]:
    """The names of one object or several, each a list of strings; a type's name stands within."""
    if isinstance(value, list):
        texts = [one["String"].get("sval", "") for one in value if "String" in one]
        if texts and len(texts) == len(value):
            yield texts
            return
        for one in value:
            yield from _lists(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name == "names":  # of a type, to which nothing is appended
                yield [*(part["String"].get("sval", "") for part in one), ""]
            elif isinstance(one, dict | list):
                yield from _lists(one)
