"""The shape of a masking file: what becomes of each column of a tenant's tables in a copy for staging.

Promises: what is read is whole and typed, and every mistake is told at once with file and line. What the tables are is
for covering.py to compare; nothing here looks at a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from proxy.backup.fakes import FAKES
from proxy.errors import ConfigurationError
from proxy.tenancy.read import Reader
from proxy.tenancy.values import Name, Strict, Value, qualified_name

WORDS = ("keep", "null", "hash")
Kind = Literal[
    "name", "first_name", "last_name", "email", "phone", "street", "city", "postcode", "company", "text"
]  # FAKES


class Fake(Strict):
    """A made-up value of this kind."""

    fake: Kind


class Constant(Strict):
    """The same value in every row that has one."""

    set: Value


def _mask(value: object) -> object:
    if value is None:  # how YAML reads null
        return "null"
    if value in WORDS:
        return value
    if isinstance(value, dict) and len(value) == 1:
        word, given = next(iter(value.items()))
        if word == "fake" and given in FAKES:
            return value
        if word == "fake":
            raise ValueError(f"fake must be one of {', '.join(FAKES)}")
        if word == "set" and isinstance(given, str | int) and not isinstance(given, bool):
            return value
        if word == "set":
            raise ValueError("set must be a text or an integer; quote what is neither")
    raise ValueError("must be keep, null, hash, {fake: KIND} or {set: VALUE}")


Mask = Annotated[Literal["keep", "null", "hash"] | Fake | Constant | None, BeforeValidator(_mask)]


def _named(value: object) -> object:
    for name in value if isinstance(value, dict) else ():
        qualified_name(str(name))
    return value


class MaskingFile(Strict):
    """A masking file. unlisted: what becomes of a column that it does not name."""

    unlisted: Literal["refuse", "keep"] = "refuse"
    tables: Annotated[dict[str, dict[Name, Mask]], BeforeValidator(_named)]


def read_masking(file: Path, environ: Mapping[str, str]) -> MaskingFile:
    """What a file says. ConfigurationError with every mistake."""
    reader = Reader(environ)
    source = reader.plain(file)
    problems = list(reader.problems)
    if not problems:
        try:
            return MaskingFile.model_validate(source.value)
        except ValidationError as error:
            for one in error.errors(include_input=False, include_url=False, include_context=False):
                where = "".join(f"{part}: " for part in one["loc"][-2:])
                what = "unknown key" if one["type"] == "extra_forbidden" else one["msg"].removeprefix("Value error, ")
                problems.append(f"{source.at(*one['loc'])}: {where}{what}")
    raise ConfigurationError(problems)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a masking file."""
    schema: dict[str, Any] = TypeAdapter(MaskingFile).json_schema()
    return schema | {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Partywall masking file"}
