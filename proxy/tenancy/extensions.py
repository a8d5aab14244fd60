"""Extensions that were reviewed: what of each may be called, as function rules.

The lists are generated and reviewed by hand (proxy/sql/data/generate_extensions.py). A rule holds only for functions
that belong to the extension; nothing of an extension that is not here can be listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import orjson

from proxy.tenancy.policy import FunctionRule

SCHEMA = "public"  # where the extension must be installed


@cache
def _data() -> Mapping[str, list[str]]:
    found: Mapping[str, list[str]] = orjson.loads(files("proxy.tenancy").joinpath("extensions.json").read_bytes())
    return found


def reviewed() -> frozenset[str]:
    """The names that `extensions:` may list."""
    return frozenset(_data())


@cache
def rules_of(extension: str) -> tuple[FunctionRule, ...]:
    """What may be called of a reviewed extension; KeyError for any other."""
    return tuple(_rule(extension, text) for text in _data()[extension])


def _rule(extension: str, text: str) -> FunctionRule:
    name, _, arguments = text.removesuffix(")").partition("(")
    return FunctionRule(SCHEMA, name, tuple(arguments.split(",")) if arguments else (), extension)
