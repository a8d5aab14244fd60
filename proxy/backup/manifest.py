"""Manifest: what an archive holds, in JSON; the last member but one of every archive.

Promises: what `decode` gives is whole and typed, and every unknown key is refused, so that a newer program's archive is
not half understood. An archive of only what changed names the archives that it builds on, and is format 2, so that
nobody takes its rows for all. The text of a manifest is vouched for by the member behind it (SEAL), in the form that
sha256sum reads. Sizes are bytes; times are ISO 8601 in UTC.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from proxy.backup.refusal import Damaged, Refused

FORMATS = (1, 2)
MANIFEST = "manifest.json"
SEAL = "manifest.sha256"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Member(_Part):
    """A member of the archive: stored size and its hash, and the size of what it unpacks to."""

    name: str
    size: int
    sha256: str
    bytes: int
    rows: int = 0


class ColumnForm(_Part):
    """A column that is copied; its type as format_type prints it."""

    name: str
    type: str
    identity: bool = False


class RemovedForm(_Part):
    """Rows of an archive that this one builds on which are no more: their numbers there, from 1, one a line."""

    base: int  # its place in `bases`
    members: tuple[Member, ...]


class RelationForm(_Part):
    """A table's rows. In row mode the tenant column is the first.

    builds: rows of the archives before count, but for `removed`; `total` is how many there are in the end.
    """

    schema_name: str = Field(alias="schema")
    name: str
    tenant_column: str | None = None
    key: str | None = None
    columns: tuple[ColumnForm, ...]
    members: tuple[Member, ...] = ()
    builds: bool = False
    removed: tuple[RemovedForm, ...] = ()
    total: int | None = None

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.members)

    @property
    def gone(self) -> tuple[Member, ...]:
        return tuple(one for form in self.removed for one in form.members)

    @property
    def title(self) -> str:
        """For people."""
        return self.name if self.schema_name == "public" else f"{self.schema_name}.{self.name}"


class SequenceForm(_Part):
    """Where a sequence was after all rows had been read. `own`: of this tenant alone; else others draw from it too."""

    schema_name: str = Field(alias="schema")
    name: str
    value: int
    called: bool
    own: bool
    column: tuple[str, str, str] | None = None  # schema, table and column that it belongs to


class SnapshotForm(_Part):
    """When the rows were as they are here."""

    time: str
    lsn: str


class RulesForm(_Part):
    """Under which rules."""

    generation: int
    hash: str


class BaseForm(_Part):
    """An archive that another builds on. manifest: the SHA-256 of its manifest's text, by which it is known. name: what
    its file was called.
    """

    manifest: str
    name: str
    time: str


class Manifest(_Part):
    """Everything about an archive but its bytes. bases: what it builds on, the oldest first."""

    format: Literal[1, 2]
    program: str
    tenant: str
    database: str
    isolation: Literal["row", "rls", "schema", "database"]
    schema_name: str | None = Field(default=None, alias="schema")
    keys: dict[str, str] = {}
    server_version: int
    snapshot: SnapshotForm
    rules: RulesForm
    relations: tuple[RelationForm, ...]
    sequences: tuple[SequenceForm, ...] = ()
    definitions: tuple[Member, ...] = ()
    bases: tuple[BaseForm, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if (self.format == 2) != bool(self.bases):
            raise ValueError("format 2 is of an archive that builds on others")
        for one in self.relations:
            if one.builds != (one.total is not None) or (one.removed and not one.builds):
                raise ValueError(f"{one.title} does not say what it builds on")
            if any(not 0 <= form.base < len(self.bases) for form in one.removed) or (one.builds and not self.bases):
                raise ValueError(f"{one.title} builds on an archive that is not named")
        return self

    @property
    def members(self) -> tuple[Member, ...]:
        """All of them, without the manifest's own."""
        relations = self.relations
        return (*self.definitions, *(one for form in relations for one in (*form.members, *form.gone)))

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.relations)


def fields(manifest: Manifest) -> dict[str, Any]:
    """What is printed of it."""
    later: Any = {"bases": True, "relations": {"__all__": {"builds", "removed", "total"}}}
    return manifest.model_dump(mode="json", by_alias=True, exclude=None if manifest.bases else later)


def encode(manifest: Manifest) -> bytes:
    """Its JSON, for people too."""
    return orjson.dumps(fields(manifest), option=orjson.OPT_INDENT_2) + b"\n"


def decode(text: bytes) -> Manifest:
    """The manifest that a text is. Refused when it is of another format, Damaged when it is none."""
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Damaged(f"{MANIFEST} is not JSON") from None
    if not isinstance(given, dict):
        raise Damaged(f"{MANIFEST} is not an object")
    if given.get("format") not in FORMATS:
        raise Refused([f"the archive has format {given.get('format')!r}; this program reads formats 1 and 2"])
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(one) for one in first["loc"])
        raise Damaged(": ".join(part for part in (MANIFEST, where, first["msg"]) if part)) from None


def identity(text: bytes) -> str:
    """By what an archive is known: the SHA-256 of its manifest's text."""
    return hashlib.sha256(text).hexdigest()


def seal(text: bytes) -> bytes:
    """What vouches for a manifest's text."""
    return f"{identity(text)}  {MANIFEST}\n".encode()
