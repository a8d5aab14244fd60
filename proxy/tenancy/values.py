"""How values are written in rule files: names, durations, sizes, and what every part of a document has in common.

Durations and sizes are written as in postgresql.conf, names as in SQL but for case. An unknown key is an error
everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

NOT_YET = "not supported yet"  # of a key that is known and not built
IDENTIFIER = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^".()]+))\s*')
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def _measured(number: type[int | float], units: Mapping[str, float], usual: str, wanted: str) -> BeforeValidator:
    """A text that is a number with its unit, or with the usual one, becomes the number; other values stay."""
    digits = r"\d+" if number is int else r"\d+(?:\.\d+)?"
    form = re.compile(rf"({digits})\s*({'|'.join(units)})?")

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        found = form.fullmatch(value.strip())
        if found is None:
            raise ValueError(f"must be a {wanted}")
        return number(found[1]) * units[found[2] or usual]

    return BeforeValidator(read, json_schema_input_type=number | str)


Duration = Annotated[float, _measured(float, SECONDS, "s", "duration such as 30s, 500ms or 5min"), Field(gt=0)]
Size = Annotated[int, _measured(int, BYTES, "B", "size such as 64kB or 1MB"), Field(gt=0)]
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


def canonical(value: str | int) -> str:
    """One spelling for what integer and uuid columns take for the same value."""
    text = str(value).strip()
    if re.fullmatch(r"[-+]?[0-9]+", text):
        return str(int(text))
    digits = re.sub(r"[-{}]", "", text).lower()
    return digits if re.fullmatch(r"[0-9a-f]{32}", digits) else str(value)


class Strict(BaseModel):
    """What every part has in common: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
