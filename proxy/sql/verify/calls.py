"""Calls of functions, in every notation that the grammar has for them."""

from __future__ import annotations

from collections.abc import Mapping

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
        elif not self._relations.callable(schema, name) or (schema in (None, "pg_catalog") and stood_in(name)):
            raise Unproven(f"a function {name}")

    def attribute(self, kind: str, body: Node, visible: list[Item], level: Level) -> None:
        """`row.name` calls the function `name` where the row has no such column (section 4.2.6 of the manual)."""
        fields = strings(body.get("fields" if kind == "ColumnRef" else "indirection", ()))
        for name in fields[1:] if kind == "ColumnRef" else fields:
            if name not in self._relations.catalog.functions or self._relations.callable(None, name):
                continue
            if kind == "ColumnRef" and name is fields[-1] and self._is_column(fields, visible, level):
                continue
            raise Unproven(f"what may be a call of {name}")

    @staticmethod
    def _is_column(fields: list[str], visible: list[Item], level: Level) -> bool:
        """Whether the nearest relation of that name certainly has the column."""
        for some in (visible, *(one.visible for one in level.outer)):
            found = [one for one in some if one.alias == fields[-2]]
            if found:
                return all(fields[-1] in one.columns or fields[-1] in one.outputs for one in found)
        return False
