"""Options of a COPY FROM that the proxy reads itself, because the server is sent INSERTs: what they say of fields.

Promises: an option that PostgreSQL refuses is refused here, and what would need the server's own COPY is 0A000. Source:
ProcessCopyOptions in commands/copy.c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from proxy.catalog.model import Relation
from proxy.errors import FeatureNotSupported, Refusal, SyntaxRefused
from proxy.wire.copyfields import Shape

Node = dict[str, Any]
Text = Callable[[Node | None], str]

INVALID = "22023"
REDUNDANT = "conflicting or redundant options"
NOT_A_DELIMITER = "\\.abcdefghijklmnopqrstuvwxyz0123456789"
CSV_ONLY = {
    "quote": ("quote", "QUOTE"), "escape": ("escape", "ESCAPE"), "force_quote": ("force quote", "FORCE_QUOTE"),
    "force_not_null": ("force not null", "FORCE_NOT_NULL"), "force_null": ("force null", "FORCE_NULL"),
}  # fmt: skip
NOT_IN_BINARY = ("delimiter", "null", "default", "header")
WORDED = 17  # the first major whose texts name the options
ON_ERROR_HINT = "Rows go in batches: one that fails, fails them all. Leave ON_ERROR out."


def shape_of(
    given: Sequence[Node],
    options: Mapping[str, Node],
    columns: Sequence[str],
    relation: Relation,
    text: Text,
    major: int,
) -> Shape:
    """What the options say of fields; a Refusal in PostgreSQL's words. given: DefElems as they came."""
    _check_repeated(given)
    values = {name: text(one.get("arg")) for name, one in options.items()}
    form = values.get("format", "text")
    _check_places(values, form, major)
    if values.get("on_error", "stop").lower() != "stop":
        raise FeatureNotSupported("COPY with ON_ERROR is not supported on this table", hint=ON_ERROR_HINT)
    if "reject_limit" in values:
        raise Refusal("COPY REJECT_LIMIT requires ON_ERROR to be set to IGNORE", sqlstate=INVALID)
    delimiter = values.get("delimiter", "," if form == "csv" else "\t")
    null = values.get("null", "" if form == "csv" else "\\N")
    if form != "binary":
        _check_characters(values, form, delimiter, null, major)
    known = {one.name for one in relation.columns if one.default or one.identity}
    return Shape(
        tuple(columns),
        null.encode(),
        values["default"].encode() if "default" in values else None,
        {"match": "match", "true": "skip", "on": "skip", "1": "skip", "": "skip"}.get(
            values.get("header", "false").lower(), ""
        ),
        _numbers(options.get("force_not_null"), columns, "FORCE_NOT_NULL"),
        _numbers(options.get("force_null"), columns, "FORCE_NULL"),
        frozenset(at for at, one in enumerate(columns) if one in known),
        major,
    )


def _check_repeated(given: Sequence[Node]) -> None:
    seen: set[str] = set()
    for one in given:
        if one["defname"] in seen:
            raise SyntaxRefused(REDUNDANT, location=one.get("location"))
        seen.add(one["defname"])


def _check_places(values: Mapping[str, str], form: str, major: int) -> None:
    """Options that the format does not have."""
    if form == "binary":
        for name in NOT_IN_BINARY:
            if name in values and not (name == "header" and values[name].lower() in ("false", "off", "0")):
                raise SyntaxRefused(f"cannot specify {name.upper()} in BINARY mode")
    for name, (old, new) in CSV_ONLY.items():
        if name in values and form != "csv":
            worded = f"COPY {new} requires CSV mode" if major >= WORDED else f"COPY {old} available only in CSV mode"
            raise FeatureNotSupported(worded)
    if "force_quote" in values:
        old, new = "COPY force quote only available using COPY TO", "COPY FORCE_QUOTE cannot be used with COPY FROM"
        raise FeatureNotSupported(new if major >= WORDED else old)


def _check_characters(values: Mapping[str, str], form: str, delimiter: str, null: str, major: int) -> None:
    if len(delimiter.encode()) != 1:
        raise FeatureNotSupported("COPY delimiter must be a single one-byte character")
    if delimiter in "\r\n":
        raise Refusal("COPY delimiter cannot be newline or carriage return", sqlstate=INVALID)
    if "\r" in null or "\n" in null:
        raise Refusal("COPY null representation cannot use newline or carriage return", sqlstate=INVALID)
    if form != "csv" and delimiter in NOT_A_DELIMITER:
        raise Refusal(f'COPY delimiter cannot be "{delimiter}"', sqlstate=INVALID)
    quote = values.get("quote", '"')
    if form == "csv":
        for name in ("quote", "escape"):
            if len(values.get(name, quote).encode()) != 1:
                raise FeatureNotSupported(f"COPY {name} must be a single one-byte character")
        if quote == delimiter:
            raise Refusal("COPY delimiter and quote must be different", sqlstate=INVALID)
    character = "delimiter character" if major >= WORDED else "delimiter"
    markers = [("NULL", null), *([("DEFAULT", values["default"])] if "default" in values else [])]
    for name, marker in markers:
        if delimiter in marker:
            raise Refusal(f"COPY {character} must not appear in the {name} specification", sqlstate=INVALID)
        if form == "csv" and quote in marker:
            raise Refusal(f"CSV quote character must not appear in the {name} specification", sqlstate=INVALID)
    if "default" in values:
        if "\r" in values["default"] or "\n" in values["default"]:
            raise Refusal("COPY default representation cannot use newline or carriage return", sqlstate=INVALID)
        if values["default"] == null:
            raise Refusal("NULL specification and DEFAULT specification cannot be the same", sqlstate=INVALID)


def _numbers(option: Node | None, columns: Sequence[str], name: str) -> frozenset[int]:
    """The columns that FORCE_NULL or FORCE_NOT_NULL lists."""
    arg = {} if option is None else option.get("arg", {})
    if "A_Star" in arg:
        return frozenset(range(len(columns)))
    found = set()
    for one in arg.get("List", {}).get("items", ()):
        column = one.get("String", {}).get("sval", "")
        if column not in columns:
            raise Refusal(f'{name} column "{column}" not referenced by COPY', sqlstate="42P10")
        found.add(columns.index(column))
    return frozenset(found)
