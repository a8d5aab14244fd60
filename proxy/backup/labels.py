"""What a scheduled archive is called, and in which folder it is: by these names it is found and known again.

The name tells tenant, database and when it was begun, so that a folder may be anybody's. Names are spelt in letters
that every store takes; two names are never spelt alike, and none is a path. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

END = ".partywall"
SEALED = ".partywall.age"
READBACK = ".readback"
FORM = "%Y%m%dT%H%M%SZ"
NAME = re.compile(r"([A-Za-z0-9_~-]+)\.([A-Za-z0-9_~-]+)\.([0-9]{8}T[0-9]{6}Z)\.partywall(\.age)?")
PLAIN = re.compile(r"[^A-Za-z0-9_-]")
TIMES = ("{year}", "{month}", "{day}")


@dataclass(frozen=True, slots=True)
class Label:
    """Of one archive. begun: seconds since the epoch, whole ones."""

    tenant: str
    database: str
    begun: int
    sealed: bool

    @property
    def name(self) -> str:
        """Of the file."""
        end = SEALED if self.sealed else END
        return f"{spelt(self.tenant)}.{spelt(self.database)}.{_time(self.begun):{FORM}}{end}"

    def within(self, to: str) -> str:
        """The folder where it is, of a rule's `to`."""
        time = _time(self.begun)
        return to.format(
            tenant=spelt(self.tenant),
            database=spelt(self.database),
            year=f"{time:%Y}",
            month=f"{time:%m}",
            day=f"{time:%d}",
        )


def spelt(name: str) -> str:
    """A tenant's or database's name, in letters, digits, `_` and `-`; other bytes as `~` and two digits."""
    return PLAIN.sub(lambda found: "".join(f"~{one:02X}" for one in found[0].encode()), name)


def label_of(name: str, tenant: str, database: str) -> Label | None:
    """The label that a file's name is, if it is of this tenant and database."""
    found = NAME.fullmatch(name)
    if found is None or found[1] != spelt(tenant) or found[2] != spelt(database):
        return None
    try:
        time = datetime.strptime(found[3], FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Label(tenant, database, int(time.timestamp()), found[4] is not None)


def root_of(to: str, tenant: str, database: str) -> tuple[str, bool]:
    """The folder in which all archives of a tenant are, at whatever depth; and whether there are folders below it."""
    at = min((found for one in TIMES if (found := to.find(one)) >= 0), default=-1)
    head = to if at < 0 else to[: to.rindex("/", 0, at)] or "/"
    return head.format(tenant=spelt(tenant), database=spelt(database)), at >= 0


def standing(to: str) -> str:
    """The part of a folder in front of its first place, which must be there already."""
    at = to.find("{")
    return to if at < 0 else to[: to.rindex("/", 0, at)] or "/"


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
