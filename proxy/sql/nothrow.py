"""The table of silence: which operators and functions of pg_catalog throw for no value of which types.

Generated and tried data (proxy/sql/data/generate_silent.py, tests/sql/test_silent_trial.py); what is not listed may
throw. Knows nothing of collations, namesakes and literals, on which silence hangs too.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from proxy.catalog.model import Catalog


@cache
def _data() -> Any:
    return orjson.loads(files("proxy.sql.data").joinpath("silent.json").read_bytes())


def entries() -> dict[str, list[str]]:
    """`operator left right` or `function argument`, by names of types -> the functions that run."""
    found: dict[str, list[str]] = _data()["entries"]
    return found


def majors() -> list[int]:
    """The servers that were asked and tried."""
    found: list[int] = _data()["majors"]
    return found


def never_throws(symbol: str, left: str, right: str = "") -> bool:
    """True where the operator between these types, or the function of one argument, is listed."""
    return f"{symbol} {left} {right}".rstrip() in entries()


def listed_name(catalog: Catalog, oid: int) -> str:
    """How the table names a type that is no domain: anyenum for an enum, _ in front for an array."""
    found = catalog.types.get(oid)
    if found is None:
        return ""
    if found.kind == "e":
        return "anyenum"
    element = catalog.types.get(found.element)
    if element is not None and found.category == "A":
        base = element
        while base.kind == "d" and base.base in catalog.types:
            base = catalog.types[base.base]
        return "_" + listed_name(catalog, base.oid)
    return found.name if found.schema == "pg_catalog" else ""
