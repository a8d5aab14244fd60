"""The readback note beside a scheduled archive: whose it is, and that it was read back whole.

It is written when the archive is begun, and again when it was verified: what has none is not this program's business,
and what has one that is not finished is not a backup. Pure; times are seconds since the epoch, sizes bytes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson

from proxy.backup.labels import Label

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Readback:
    """moment: of which the rows are; verified: when it was read back; both None before that."""

    program: str
    archive: str
    tenant: str
    database: str
    begun: int
    moment: float | None = None
    verified: float | None = None
    seconds: float = 0.0  # that it took, with the reading back
    size: int = 0
    sha256: str = ""
    format: int = FORMAT

    def encode(self) -> bytes:
        """Its JSON, for people too."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2) + b"\n"

    def fits(self, label: Label) -> bool:
        """Is it this archive's?"""
        return (self.archive, self.tenant, self.database, self.begun) == (
            label.name,
            label.tenant,
            label.database,
            label.begun,
        )


def decode(text: bytes) -> Readback | None:
    """The note that a text is; None when it is none of ours, or was cut."""
    try:
        given = orjson.loads(text)
        found = Readback(**given)
    except (orjson.JSONDecodeError, TypeError):
        return None
    kinds = {
        "program": str, "archive": str, "tenant": str, "database": str, "begun": int, "moment": float | None,
        "verified": float | None, "seconds": float, "size": int, "sha256": str,
    }  # fmt: skip
    if found.format != FORMAT or not all(isinstance(getattr(found, name), kind) for name, kind in kinds.items()):
        return None
    return found
