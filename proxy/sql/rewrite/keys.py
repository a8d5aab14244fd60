"""Keys: a key or foreign key without the tenant column would tell of other tenants' rows by its errors
(isolation.md 3.2).

Promises: nothing that writes such a key's columns, cascades through such a reference or asks ON CONFLICT about such
a key is sent. Columns left to their default are no oracle: the client does not choose the value."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.catalog.model import Catalog, ForeignKey, Relation
from proxy.errors import FeatureNotSupported
from proxy.sql.rewrite.edit import Edit
from proxy.sql.rewrite.insert import written
from proxy.sql.rewrite.merge import inserted
from proxy.sql.rewrite.update import assigned
from proxy.sql.scope import Level
from proxy.sql.world import Visible


def refuse_foreign_keys_and_oracles(edit: Edit) -> None:
    """Raise FeatureNotSupported where a statement could ask a constraint about other tenants' rows."""
    for level in edit.analysis.levels:
        visible = level.target.visible if level.target is not None else None
        if visible is None:
            continue
        for relation in _family(visible.relation, edit.world.catalog):
            if level.kind == "InsertStmt" and "onConflictClause" in level.body:
                _check_conflict(relation, visible)
            columns = [one for one in assigned(level) if visible.column is None or one != visible.column.name]
            columns += written(edit, level, visible) if level.kind == "InsertStmt" else inserted(level, visible)
            _check_keys(relation, visible, {one.number for one in relation.columns if one.name in columns}, level)
            _check_references(relation, visible, columns, edit)
            if level.kind == "DeleteStmt" or any(one.get("commandType") == "CMD_DELETE" for one, _ in level.actions):
                _check_cascades(relation, edit)


def _family(relation: Relation, catalog: Catalog) -> Iterator[Relation]:
    """The relation and all its children, whose keys hold for rows that are routed to them."""
    yield relation
    for one in catalog.relations.values():
        if relation.oid in one.parents:
            yield from _family(one, catalog)


def _tenant_number(relation: Relation, visible: Visible) -> int:
    column = relation.column(visible.column.name) if visible.column is not None else None
    return column.number if column is not None else 0


def _check_conflict(relation: Relation, visible: Visible) -> None:
    number = _tenant_number(relation, visible)
    for key in relation.keys:
        if number not in key.columns:
            raise FeatureNotSupported(
                f'ON CONFLICT is not supported on table "{relation.name}": '
                f'its key "{key.name}" does not contain the tenant column'
            )


def _check_keys(relation: Relation, visible: Visible, columns: set[int], level: Level) -> None:
    number = _tenant_number(relation, visible)
    for key in relation.keys:
        if number in key.columns:
            continue
        if columns & set(key.columns) or (0 in key.columns and level.kind != "DeleteStmt"):
            raise FeatureNotSupported(
                f'the columns of key "{key.name}" of table "{relation.name}" cannot be set: '
                "it does not contain the tenant column",
                hint="Leave them to their default, or add the tenant column to the key.",
            )


def _check_references(relation: Relation, visible: Visible, columns: list[str], edit: Edit) -> None:
    number = _tenant_number(relation, visible)
    numbers = {one.number for one in relation.columns if one.name in columns}
    for key in relation.foreign_keys:
        if not numbers & set(key.columns):
            continue
        target = edit.world.catalog.relations_by_oid.get(key.references)
        seen = None if target is None else edit.world.relation(target.schema, target.name)
        if seen is not None and seen.access in ("shared", "catalog"):
            continue
        pairs = zip(key.columns, key.referenced_columns, strict=False)
        own = seen.column if seen is not None and seen.key == visible.key else None
        if own is not None and (number, own.number) in pairs:
            continue
        raise FeatureNotSupported(
            f'the columns of foreign key "{key.name}" of table "{relation.name}" cannot be set: '
            "it does not contain the tenant column",
            hint="Add the tenant column to the foreign key.",
        )


def _check_cascades(relation: Relation, edit: Edit) -> None:
    """A deletion that cascades must stay with the tenant along every foreign key."""
    done: set[int] = set()
    waiting = [relation]
    while waiting:
        parent = waiting.pop()
        done.add(parent.oid)
        for child in edit.world.catalog.relations.values():
            for key in child.foreign_keys:
                if key.references == parent.oid and key.on_delete in "cnd":
                    _check_cascade(parent, child, key, edit)
                    if key.on_delete == "c" and child.oid not in done:
                        waiting.append(child)


def _check_cascade(parent: Relation, child: Relation, key: ForeignKey, edit: Edit) -> None:
    seen = edit.world.relation(child.schema, child.name)
    own = edit.world.relation(parent.schema, parent.name)
    if seen is None or seen.column is None or own is None or own.column is None:
        raise FeatureNotSupported(f'DELETE on table "{parent.name}" would cascade to a table that is not the tenant\'s')
    if (seen.column.number, own.column.number) not in zip(key.columns, key.referenced_columns, strict=False):
        raise FeatureNotSupported(f'DELETE on table "{parent.name}" would cascade by a key without the tenant column')
