"""The confined form of a catalog relation, made here anew from the same data, to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import Any

import orjson

from proxy.catalog.model import Catalog
from proxy.sql.parse import parse
from proxy.sql.plan import PlanContext
from proxy.sql.verify.relations import SYSTEM, Relations


@cache
def _data(name: str = "catalogs.json") -> Any:
    return orjson.loads(files("proxy.sql.data").joinpath(name).read_bytes())


def stood_in(name: str) -> bool:
    """Is it a function of which no call may be sent, because something stands in its place?"""
    return any(name in _data()[one] for one in ("functions", "of_columns", "in_from"))


def bare(node: Any) -> Any:
    """A tree without the places in the text."""
    if isinstance(node, list):
        return [bare(one) for one in node]
    if isinstance(node, dict):
        return {
            name: bare(one) for name, one in node.items() if not name.endswith(("location", "list_start", "list_end"))
        }
    return node


@lru_cache(maxsize=256)
def _tree(text: str, major: int) -> Any:
    """Of one text of ours always the same; nobody changes it."""
    return bare(parse(text.encode(), size_limit=1 << 26, server_major=major)[0].tree)


class Expected:
    """What the sub-select over a catalog relation must be, for one context."""

    def __init__(self, context: PlanContext, catalog: Catalog, keys: Mapping[str, str]) -> None:
        self._context = context
        self._catalog = catalog
        self._keys = keys

    def select(self, schema: str, name: str, tableoid: bool = False) -> Any:
        """Its tree, or None where a tenant may not read it at all; with tableoid as one column more if that is
        wanted."""
        rule = _data()["relations"].get(f"{schema}.{name}")
        relation = self._catalog.relations.get((schema, name))
        if rule is None or relation is None or (tableoid and relation.kind != "r"):
            return None
        masks = dict(rule["columns"])
        if self._context.policy.isolation == "schema":
            masks.update(_data()["beside"].get(f"{schema}.{name}", {}))
        targets = []
        for column in relation.columns:
            if column.name not in masks:
                return None
            mask, quoted = masks[column.name], _identifier(column.name)
            targets.append(quoted if mask == "" else f"{mask} AS {quoted}")
        targets += ["tableoid"] if tableoid else []
        text = f"WITH {rule['with']} " if "with" in rule else ""
        text += f"SELECT {', '.join(targets)} FROM {_identifier(schema)}.{_identifier(name)}"
        text += f" WHERE {rule['where']} OFFSET 0" if rule["where"] else " OFFSET 0"
        for word, value in self._values.items():
            text = text.replace("{" + word + "}", value)
        for word in ("$application", "$process", "$query"):
            text = text.replace(f"'{word}'", "'" + self._keys.get(word, word).replace("'", "''") + "'")
        return _tree(text, self._catalog.major)

    def fits(self, subquery: Any, schema: str, name: str) -> bool:
        """Is it the confined form of this relation, to the letter?"""
        found = bare(subquery)
        return any(found == one for one in (self.select(schema, name), self.select(schema, name, True)) if one)

    @cached_property
    def _values(self) -> dict[str, str]:
        policy, catalog = self._context.policy, self._catalog
        if policy.isolation == "schema":
            return self._of_schemas()
        relations = Relations(policy, catalog)
        oids, schemas = [], set(self._context.search_path)
        for (schema, name), one in catalog.relations.items():
            is_shown = (
                (schema, name) in policy.sequences if one.kind == "S" else relations.shown(schema, name) is not None
            )
            if schema not in SYSTEM and is_shown:
                oids.append(one.oid)
                schemas.add(schema)
        listed = {(one.schema, one.name) for one in policy.functions}
        functions = [
            one.oid for some in catalog.functions.values() for one in some
            if one.schema != "pg_catalog" and (one.schema, one.name) in listed
        ]  # fmt: skip
        return {
            "relations": _oids(oids),
            "functions": _oids(functions),
            "schemas": _names(schemas),
            "unshown": "'{" + ",".join(_data("functions.json")["unshown"]) + "}'::pg_catalog.name[]",
            "database": "'" + catalog.database.replace("'", "''") + "'",
        }

    def _of_schemas(self) -> dict[str, str]:
        """Of a tenant with a schema of its own: what is there when the statement runs, by the schema's name."""
        policy, catalog = self._context.policy, self._catalog
        shared = [
            one.oid for some in catalog.functions.values() for one in some
            if one.schema in policy.shared_schemas
            and any((one.schema, one.name) == (rule.schema, rule.name) for rule in policy.functions)
        ]  # fmt: skip
        both, own = _names({policy.schema, *policy.shared_schemas}), _names({policy.schema})
        of = "JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=)"
        within = "WHERE s.nspname OPERATOR(pg_catalog.=) ANY"
        kinds = "r.relkind OPERATOR(pg_catalog.<>) ALL ('{i,I,t}'::pg_catalog.\"char\"[])"
        listed = f"f.oid OPERATOR(pg_catalog.=) ANY ({_oids(shared)})"
        classes, routines = "SELECT r.oid FROM pg_catalog.pg_class r", "SELECT f.oid FROM pg_catalog.pg_proc f"
        return {
            "relations": f"ARRAY({classes} {of} r.relnamespace {within} ({both}) AND {kinds})",
            "functions": f"ARRAY({routines} {of} f.pronamespace {within} ({own}) OR {listed})",
            "schemas": both,
            "unshown": "'{" + ",".join(_data("functions.json")["unshown"]) + "}'::pg_catalog.name[]",
            "database": "'" + catalog.database.replace("'", "''") + "'",
        }


def _names(names: set[str]) -> str:
    listed = ",".join('"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"' for one in sorted(names))
    return "'{" + listed.replace("'", "''") + "}'::pg_catalog.name[]"


def _oids(numbers: list[int]) -> str:
    return "'{" + ",".join(str(one) for one in sorted(numbers)) + "}'::pg_catalog.oid[]"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
