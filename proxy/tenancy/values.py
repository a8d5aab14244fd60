"""How values are written in rule files: names, durations, sizes, and what every part of a document has in common.

Durations and sizes are written as in postgresql.conf, names as in SQL but for case. An unknown key is an error
everywhere.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

IDENTIFIER = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^".()]+))\s*')
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?")
SIZE = re.compile(r"(\d+)\s*(B|kB|MB|GB)?")
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def _duration(value: object) -> object:
    if isinstance(value, str):
        found = DURATION.fullmatch(value.strip())
        if found is None:
            raise ValueError("must be a duration such as 30s, 500ms or 5min")
        return float(found[1]) * SECONDS[found[2] or "s"]
    return value


def _size(value: object) -> object:
    if isinstance(value, str):
        found = SIZE.fullmatch(value.strip())
        if found is None:
            raise ValueError("must be a size such as 64kB or 1MB")
        return int(found[1]) * BYTES[found[2] or "B"]
    return value


Duration = Annotated[float, BeforeValidator(_duration, json_schema_input_type=float | str), Field(gt=0)]
Size = Annotated[int, BeforeValidator(_size, json_schema_input_type=int | str), Field(gt=0)]
Name = Annotated[str, Field(min_length=1, max_length=63)]
KeyName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^$]")]  # those with $ are derived
Value = str | int


def qualified_name(text: str) -> tuple[str, str]:
    """(schema, name) of `name`, `schema.name` or `"quoted"."names"`; ValueError when it is none of these."""
    parts = []
    at = 0
    while True:
        found = IDENTIFIER.match(text, at)
        if found is None:
            raise ValueError(f"{text!r} is not the name of a relation")
        parts.append(found[1].replace('""', '"') if found[1] is not None else found[2].strip())
        at = found.end()
        if at == len(text):
            break
        if text[at] != "." or len(parts) == 2:
            raise ValueError(f"{text!r} is not the name of a relation")
        at += 1
    return ("public", parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def function_name(text: str) -> tuple[str, str, tuple[str, ...] | None]:
    """(schema, name, argument types or None) of `name`, `schema.name` or `name(type, …)`; ValueError otherwise."""
    head, bracket, rest = text.partition("(")
    schema, name = qualified_name(head)
    if not bracket:
        return schema, name, None
    if not rest.rstrip().endswith(")"):
        raise ValueError(f"{text!r} is not the signature of a function")
    inner = rest.rstrip()[:-1].strip()
    return schema, name, tuple(part.strip() for part in inner.split(",")) if inner else ()


class Strict(BaseModel):
    """What every part has in common: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
