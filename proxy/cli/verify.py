"""`partywall verify`: is an archive whole, and unchanged since it was written?

Exit status: 0: it is; 1: it is not, with the first thing that is wrong.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.operator import Identity
from proxy.cli.report import reported
from proxy.cli.showing import shown

if TYPE_CHECKING:
    from proxy.backup.manifest import Manifest


def verify(
    archive: Annotated[str, typer.Argument(help="A file, a folder, a URL such as s3://…, or - for stdin.")],
    identity: Identity = None,
    as_json: Annotated[bool, typer.Option("--json", help="The manifest, for programs.")] = False,
) -> None:
    """Check every member of an archive against its checksums, and tell what it holds."""
    with reported():
        manifest = checked(archive, identity)
    if as_json:
        typer.echo(json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=2))
        return
    typer.echo(
        f"{manifest.tenant} in {manifest.database} ({manifest.isolation}), as of {manifest.snapshot.time},"
        f" PostgreSQL {manifest.server_version // 10000}: {manifest.rows} rows of {len(manifest.relations)} tables"
    )


def checked(archive: str, identity: Path | None) -> Manifest:
    """The manifest of an archive that is whole."""
    from proxy.backup.archive import members
    from proxy.backup.checking import verified
    from proxy.backup.progress import Progress

    with shown() as tell:
        rows = size = 0

        def count(member: Any) -> None:
            nonlocal rows, size
            rows, size = rows + member.rows, size + member.bytes
            tell(Progress("verify", rows, size, rows, member.name))

        return verified(members(archive, keys(identity)), count)


def keys(identity: Path | None) -> list[Any]:
    """The secrets of an --identity."""
    from proxy.backup.sealing import identities

    return [] if identity is None else identities(identity)
