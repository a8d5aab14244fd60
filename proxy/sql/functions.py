"""Built-in functions by name: which a tenant may call. Generated data; what is not listed is refused."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import orjson


@cache
def _data() -> Any:
    return orjson.loads(files("proxy.sql.data").joinpath("functions.json").read_bytes())


@cache
def allowed() -> frozenset[str]:
    """Names of pg_catalog functions that may be called with whatever arguments."""
    return frozenset(_data()["allow"])


@cache
def unshown() -> tuple[str, ...]:
    """Names of pg_catalog functions that a tenant may not call and does not see in pg_proc."""
    return tuple(_data()["unshown"])


@cache
def by_number() -> Mapping[str, tuple[int, ...]]:
    """Name -> numbers of arguments with which it may be called, where overloads differ."""
    return {name: tuple(numbers) for name, numbers in _data()["by_number"].items()}


@cache
def relation_text() -> Mapping[str, int]:
    """Functions that take a relation by name as text: the index of that argument; -1: any argument may be it."""
    found: Mapping[str, int] = _data()["relation_text"]
    return found
