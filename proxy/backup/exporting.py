"""`export_tenant`: a tenant's rows as files that other programs read, one for each table, as of one moment.

Promises: exactly the rows and columns that a backup has, and so nobody else's and no shared table's; in constant
memory, a row being held whole. The folder is there once it is whole, with what is in it and its checksums, and is for
its owner only.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import quote

from proxy import __version__
from proxy.backup.commas import Commas
from proxy.backup.pieces import PIECE, Pieces
from proxy.backup.places import is_folder, made_folder
from proxy.backup.progress import Progress
from proxy.backup.reading import copied, expected
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept, ordered, selected
from proxy.backup.snapshot import Snapshot, check_same, taken
from proxy.backup.taking import TYPES

if TYPE_CHECKING:
    from proxy.tenancy.policy import Grant
    from proxy.tenancy.servers import Place

MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
LONGEST = 200  # characters of a file's name, without what stands behind the dot

Format = Literal["csv", "parquet"]


class Turned(Protocol):
    """What takes a table's rows. form: of COPY."""

    @property
    def form(self) -> str: ...
    def add(self, text: bytes) -> None: ...
    def close(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Exported:
    """How much there is."""

    tables: int
    rows: int
    time: str


async def export_tenant(
    place: Place,
    grant: Grant,
    form: Format,
    folder: str,
    told: Callable[[Progress], None] = lambda _: None,
) -> Exported:
    """Errors: those of proxy.catalog.watch.FAILURES; Refused; ImportError for Parquet without pyarrow."""
    if not is_folder(folder if folder.endswith("/") else f"{folder}/"):
        raise Refused([f"{folder}: an export is a folder of this machine"])
    select = lambda catalog, around: ordered(catalog, selected(catalog, grant, around))  # noqa: E731
    with made_folder(folder) as path:
        async with taken(place, grant, select) as snapshot:
            exporting = _Exporting(grant, snapshot, form, path, told)
            await exporting.estimate()
            for kept in snapshot.kept:
                await exporting.table(kept)
            exporting.finish()
            return Exported(len(snapshot.kept), exporting.rows, snapshot.time)


class _Exporting:
    def __init__(
        self, grant: Grant, snapshot: Snapshot, form: Format, path: Path, told: Callable[[Progress], None]
    ) -> None:
        self._grant, self._snapshot, self._form, self._path, self._told = grant, snapshot, form, path, told
        self._tables: list[dict[str, Any]] = []
        self._names: set[str] = set()
        self._expected = self._bytes = 0
        self.rows = 0

    async def estimate(self) -> None:
        """What the server guesses of all of it."""
        snapshot = self._snapshot
        for kept in snapshot.kept:
            self._expected += await expected(snapshot.connection, self._grant, snapshot.catalog, kept)

    async def table(self, kept: Kept) -> None:
        """One table's file."""
        connection = self._snapshot.connection
        types = [row["name"] for row in await connection.fetch(TYPES, *_types(kept))]
        name = self._name(kept)
        await check_same(connection, kept)
        with (self._path / name).open("xb") as file:
            (self._path / name).chmod(0o600)
            turned = self._turned(file, kept)
            pieces = Pieces(PIECE)

            async def take(text: bytes) -> None:
                self._bytes += len(text)
                full = pieces.add(text)
                if full is not None:
                    await asyncio.to_thread(turned.add, full)
                    self._told(Progress("read", self.rows, self._bytes, self._expected, kept.relation.name))

            try:
                catalog = self._snapshot.catalog
                await copied(connection, self._grant, catalog, kept, take, csv=turned.form == "csv")
                rest = pieces.rest()
                if rest is not None:
                    await asyncio.to_thread(turned.add, rest)
            finally:
                count = turned.close()  # while the file is open, whatever became of it
        self.rows += count
        self._told(Progress("read", self.rows, self._bytes, self._expected, kept.relation.name))
        digest = await asyncio.to_thread(_digest, self._path / name)
        columns = [{"name": one.name, "type": kind} for one, kind in zip(kept.columns, types, strict=True)]
        self._tables.append({
            "schema": kept.relation.schema, "name": kept.relation.name, "file": name, "rows": count,
            "bytes": (self._path / name).stat().st_size, "sha256": digest, "columns": columns,
        })  # fmt: skip

    def _turned(self, file: Any, kept: Kept) -> Turned:
        if self._form == "csv":
            return Commas(file)
        from proxy.backup.parquet import Columns, arrow_type  # noqa: PLC0415 -- pyarrow may not be installed

        types = self._snapshot.catalog.types
        kinds = []
        for one in kept.columns:
            base, typmod = types.get(one.type), one.typmod
            while base is not None and base.kind == "d":
                base = types.get(base.base)
            kinds.append(arrow_type(0 if base is None else base.oid, typmod))
        names, nullable = [one.name for one in kept.columns], [not one.not_null for one in kept.columns]
        return Columns(file, kept.relation.name, names, kinds, nullable)

    def _name(self, kept: Kept) -> str:
        """A file's name that every system can have, and no other table's, whatever the case of its letters."""
        relation = kept.relation
        own = self._grant.policy.schema or "public"
        title = relation.name if relation.schema == own else f"{relation.schema}.{relation.name}"
        base = quote(title, safe=" ").replace("~", "%7E")
        if len(base) > LONGEST or base.lower() in self._names or base.startswith("."):
            base = f"table~{len(self._tables) + 1}"
        self._names.add(base.lower())
        return f"{base}.{self._form}"

    def finish(self) -> None:
        """What is in the folder, and the checksums of all of it as sha256sum reads them."""
        snapshot, grant = self._snapshot, self._grant
        manifest = {
            "format": self._form, "program": f"partywall {__version__}", "tenant": grant.tenant,
            "database": grant.database, "time": snapshot.time, "server_version": snapshot.catalog.server_version,
            "rows": self.rows, "tables": self._tables,
        }  # fmt: skip
        text = json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n"
        sums = [f"{one['sha256']}  {one['file']}\n" for one in self._tables]
        sums.append(f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n")
        for name, content in ((MANIFEST, text), (SUMS, "".join(sums).encode())):
            with (self._path / name).open("xb") as file:
                (self._path / name).chmod(0o600)
                file.write(content)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _types(kept: Kept) -> tuple[Sequence[int], Sequence[int]]:
    return [one.type for one in kept.columns], [one.typmod for one in kept.columns]
