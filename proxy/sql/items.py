"""Items: what a FROM node adds to the namespace, with its columns and its source.

Promises: a relation that the world does not show is refused as PostgreSQL refuses one that does not exist. A view's
columns are as silent as the expressions of its definition; a definition that is not understood makes the view hard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.catalog.model import Relation
from proxy.errors import DuplicateAlias, FeatureNotSupported, UndefinedTable
from proxy.sql.outputs import renamed
from proxy.sql.ranges import view_columns
from proxy.sql.scope import Item, Join, Level, Named, Source, SourceKind, Tree, Value
from proxy.sql.types import Types, node
from proxy.sql.world import Scenery, Visible


@dataclass(frozen=True, slots=True)
class Place:
    """Where a FROM item stands: what it may see sideways, and what lies above it."""

    lateral: tuple[Item, ...] = ()
    join: Join | None = None
    below_alias: bool = False


def check_names(before: Sequence[Item], found: Sequence[Item]) -> None:
    """Raise DuplicateAlias where an item has the name of one before it; two tables of one name in different schemas,
    both without an alias, may stand side by side (parse_relation.c, checkNameSpaceConflicts).
    """
    for one in found:
        for other in before:
            if one.by_name and other.by_name and one.name == other.name and one.name is not None:
                if _bare(one) and _bare(other) and _relation(one) is not _relation(other):
                    continue
                raise DuplicateAlias(f'table name "{one.name}" specified more than once')


def _bare(item: Item) -> bool:
    return _relation(item) is not None and item.source is not None and "alias" not in node(item.source.item)[1]


def _relation(item: Item) -> Relation | None:
    visible = item.source.visible if item.source is not None else None
    return visible.relation if visible is not None else None


class Items:
    """Makes the items of one statement. `analyse` resolves a view's definition."""

    def __init__(self, world: Scenery, types: Types, analyse: Callable[..., Any]) -> None:
        self._world = world
        self._types = types
        self._analyse = analyse
        self._views: dict[int, tuple[tuple[Named, ...], bool]] = {}

    def plain(
        self,
        kind: SourceKind,
        wrapped: Tree,
        body: Tree,
        level: Level,
        place: Place,
        columns: tuple[Named, ...] | None,
        is_open: bool = False,
    ) -> tuple[Item, Source]:
        """The item of a FROM node with these columns (None: not all known), and its source, which the level gets."""
        alias = body.get("alias", {})
        name = alias.get("aliasname") or body.get("relname")
        source = Source(kind, name or "", level, wrapped, join=place.join, below_alias=place.below_alias)
        level.sources.append(source)
        is_open = is_open or columns is None
        return Item(name, renamed(columns or (), alias, is_open), source, open=is_open), source

    def relation(self, wrapped: Tree, body: Tree, level: Level, place: Place) -> tuple[Item, Source]:
        """The item of a RangeVar that is a relation. A DML target is never a CTE."""
        schema, name = body.get("schemaname"), body.get("relname", "")
        if "catalogname" in body and body["catalogname"] != self._world.catalog.database:
            full = f"{body['catalogname']}.{schema}.{name}"
            raise FeatureNotSupported(f'cross-database references are not implemented: "{full}"')
        visible = self._world.relation(schema, name)
        if visible is None:
            full = name if schema is None else f"{schema}.{name}"
            raise UndefinedTable(f'relation "{full}" does not exist', location=body.get("location", 0))
        relation = visible.relation
        is_view = (relation.kind == "v" and visible.access != "own") or visible.access == "view"
        item, source = self.plain("view" if is_view else "table", wrapped, body, level, place, ())
        source.visible = visible
        if is_view:
            columns, source.hard = self._view(visible)
        else:
            columns = self._columns(visible, source)
        alias = body.get("alias", {})
        item = Item(item.name, renamed(columns, alias, visible.open), source, open=visible.open)
        if visible.column is not None:
            at = [one.name for one in relation.columns].index(visible.column.name)
            here = item.columns[at].name
            source.column = here if [one.name for one in item.columns].count(here) == 1 else None
        return item, source

    def _columns(self, visible: Visible, source: Source) -> tuple[Named, ...]:
        found = []
        for one in visible.relation.columns:
            key = visible.key if visible.column is one and visible.access == "tenant" else None
            found.append(Named(one.name, self._types.column(one, source, key)))
        return tuple(found)

    def _view(self, visible: Visible) -> tuple[tuple[Named, ...], bool]:
        relation = visible.relation
        if relation.oid not in self._views:
            inner: tuple[Named, ...] | None = None
            hard = relation.kind == "v"
            if hard and relation.schema not in ("pg_catalog", "information_schema"):
                inner, hard = view_columns(relation, self._world, self._analyse)
            found = []
            for at, one in enumerate(relation.columns):
                plain = self._types.column(one)
                silent = plain.silent and (relation.kind == "m" or (inner is not None and inner[at].value.silent))
                stored = relation.kind == "m" or (inner is not None and inner[at].value.stored)
                key = visible.key if visible.column is one else None
                found.append(Named(one.name, Value(plain.type, plain.collation, silent, False, stored, None, key)))
            self._views[relation.oid] = (tuple(found), hard)
        return self._views[relation.oid]
