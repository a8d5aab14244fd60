"""Calls of functions, in every notation that the grammar has for them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from proxy.catalog.model import Catalog
from proxy.sql.verify.catalogs import stood_in
from proxy.sql.verify.levels import Item, Level, Node, Unproven, strings
from proxy.sql.verify.mapped import SEED, is_hashed, reaches
from proxy.sql.verify.relations import Relations
from proxy.sql.verify.sequences import draws, is_drawn


class Calls:
    """Over the functions of a catalog and what policy lists of them."""

    def __init__(self, relations: Relations, keys: Mapping[str, str]) -> None:
        self._relations = relations
        self._keys = keys

    def function(self, body: Node) -> None:
        """Unproven unless f(...) may be called."""
        names = strings(body.get("funcname", ()))
        schema, name = (names[-2] if len(names) > 1 else None), names[-1]
        if name == "set_config" and not all({"A_Const", "ParamRef"} & set(one) for one in body.get("args", ())):
            raise Unproven("set_config() of a value")
        if draws(name):
            if not is_drawn(name, body, self._relations.policy, self._keys):
                raise Unproven(f"{name}() of a sequence that is not the tenant's")
        elif reaches(name):
            if not is_hashed(body, self._keys.get(SEED)):
                raise Unproven(f"{name}() of what is not the tenant's own")
        elif name == "pg_get_sequence_data" and self._relations.policy.schema:
            if [set(one) for one in body.get("args", ())] != [{"ColumnRef"}]:
                raise Unproven("a counter of what is no column")
        elif not self._relations.callable(schema, name) or (schema in (None, "pg_catalog") and stood_in(name)):
            raise Unproven(f"a function {name}")

    def attribute(self, kind: str, body: Node, visible: list[Item], level: Level) -> None:
        """`row.name` calls the function `name` where the row has no such column (section 4.2.6 of the manual)."""
        fields = strings(body.get("fields" if kind == "ColumnRef" else "indirection", ()))
        if kind == "ColumnRef":
            places = [one.get("String", {}).get("sval", "") for one in body.get("fields", ())]
            here = len(places) == 3 or (len(places) == 4 and places[0] == self._relations.catalog.database)
            if here and not self._relations.is_near(places[-3]):
                raise Unproven("a column of a schema that is not shown")
        for name in fields[1:] if kind == "ColumnRef" else fields:
            if name not in self._relations.catalog.functions or self._relations.callable(None, name):
                continue
            if kind == "ColumnRef" and name is fields[-1]:
                found = self._nearest(fields[-2], visible, level)
                if self._is_column(name, found) or (_are_tables(found) and not self._takes_a_row(name)):
                    continue
            raise Unproven(f"what may be a call of {name}")

    def _takes_a_row(self, name: str) -> bool:
        """Whether a function of this name can be called with a row as its only argument, cast without asking or not."""
        catalog = self._relations.catalog
        for one in catalog.functions.get(name, ()):
            required = len(one.arguments) - one.defaults - (1 if one.variadic else 0)
            if one.arguments and required <= 1 and (self._rows_are_cast or _kind(catalog, one.arguments[0]) in "cpd?"):
                return True
        return False

    @cached_property
    def _rows_are_cast(self) -> bool:
        """Whether somebody made an implicit cast from a row's type."""
        catalog = self._relations.catalog
        return any(one.context == "i" and _kind(catalog, one.source) in "cp?" for one in catalog.casts.values())

    @staticmethod
    def _nearest(alias: str, visible: list[Item], level: Level) -> list[Item]:
        """The relations that a name means."""
        every = [
            [one for one in some if one.alias == alias] for some in (visible, *(one.visible for one in level.outer))
        ]
        return next((found for found in every if found), [])

    @staticmethod
    def _is_column(name: str, found: list[Item]) -> bool:
        """Whether they certainly have the column."""
        return bool(found) and all(name in one.columns or name in one.outputs for one in found)


def _are_tables(found: list[Item]) -> bool:
    """Whether the name alone is a row: of a function in FROM it may be a number."""
    return bool(found) and all(one.kind == "table" for one in found)


def _kind(catalog: Catalog, oid: int) -> str:
    """pg_type.typtype; "?" where it is not known."""
    found = catalog.types.get(oid)
    return "?" if found is None else found.kind
