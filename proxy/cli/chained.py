"""An archive with those that it builds on, as commands name them: found, checked to the last byte, and fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.showing import shown

if TYPE_CHECKING:
    from proxy.backup.chain import Chain
    from proxy.backup.manifest import Manifest, Member

Bases = Annotated[
    list[str] | None,
    typer.Option("--base", help="An archive that it builds on, where that is not beside it; may be repeated."),
]


def chained(archive: str, bases: Sequence[str], identity: Path | None) -> Chain:
    """Refused or Damaged where anything is missing, another, or not as it was written."""
    from proxy.backup.archive import members
    from proxy.backup.chain import Chain, linked
    from proxy.backup.checking import examined

    secrets = keys(identity)
    with _counted() as count:

        def check(path: str) -> tuple[Manifest, str]:
            return examined(members(path, secrets), count)

        return Chain(linked(archive, bases, check), secrets)


@contextmanager
def _counted() -> Iterator[Callable[[Member], None]]:
    """Shows what was verified."""
    from proxy.backup.progress import Progress

    with shown() as tell:
        rows = size = 0

        def count(member: Member) -> None:
            nonlocal rows, size
            rows, size = rows + member.rows, size + member.bytes
            tell(Progress("verify", rows, size, rows, member.name))

        yield count


def keys(identity: Path | None) -> list[Any]:
    """The secrets of an --identity."""
    from proxy.backup.sealing import identities

    return [] if identity is None else identities(identity)
