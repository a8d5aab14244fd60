"""Manifest: what an archive holds, in JSON; the last member but one of every archive.

Promises: what `decode` gives is whole and typed, and every unknown key is refused, so that a newer program's archive is
not half understood. The text of a manifest is vouched for by the member behind it (SEAL), in the form that sha256sum
reads. Sizes are bytes; times are ISO 8601 in UTC.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from proxy.backup.refusal import Damaged, Refused

FORMAT = 1
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


class RelationForm(_Part):
    """A table's rows. In row mode the tenant column is the first."""

    schema_name: str = Field(alias="schema")
    name: str
    tenant_column: str | None = None
    key: str | None = None
    columns: tuple[ColumnForm, ...]
    members: tuple[Member, ...] = ()

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.members)

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


class Manifest(_Part):
    """Everything about an archive but its bytes."""

    format: Literal[1]
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

    @property
    def members(self) -> tuple[Member, ...]:
        """All of them, without the manifest's own."""
        return (*self.definitions, *(one for relation in self.relations for one in relation.members))

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.relations)


def encode(manifest: Manifest) -> bytes:
    """Its JSON, for people too."""
    return orjson.dumps(manifest.model_dump(mode="json", by_alias=True), option=orjson.OPT_INDENT_2) + b"\n"


def decode(text: bytes) -> Manifest:
    """The manifest that a text is. Refused when it is of another format, Damaged when it is none."""
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Damaged(f"{MANIFEST} is not JSON") from None
    if not isinstance(given, dict):
        raise Damaged(f"{MANIFEST} is not an object")
    if given.get("format") != FORMAT:
        raise Refused([f"the archive has format {given.get('format')!r}; this program reads format {FORMAT}"])
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(one) for one in first["loc"])
        raise Damaged(f"{MANIFEST}: {where}: {first['msg']}") from None


def seal(text: bytes) -> bytes:
    """What vouches for a manifest's text."""
    return f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n".encode()
