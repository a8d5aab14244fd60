"""Storage: how much a tenant has stored as of the last count, and whether it may store more. One for all its sessions.

What was not counted yet, or could not be, limits nobody. Pure: fleet/storage.py counts.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

NAME = "storage"


class Storage:
    """Of one tenant. limit: in bytes, over all its databases; None: there is none. full: it may not grow, or is told
    so where the limit only warns.
    """

    __slots__ = ("_used", "full", "limit", "warns")

    def __init__(self, limit: int | None = None, warns: bool = False) -> None:
        self._used: dict[Hashable, int] = {}  # by database
        self.full = False
        self.hold_to(limit, warns)

    def hold_to(self, limit: int | None, warns: bool) -> None:
        """The rules say this from now on."""
        self.limit = limit
        self.warns = warns
        self._judge()

    @property
    def used(self) -> int:
        """Bytes as of the last count."""
        return sum(self._used.values())

    def counted(self, database: Hashable, size: int) -> None:
        """So many bytes are in one of the tenant's databases."""
        self._used[database] = size
        self._judge()

    def keep(self, databases: Mapping[Hashable, object]) -> None:
        """Of databases that are not the tenant's any more nothing is known."""
        self._used = {one: size for one, size in self._used.items() if one in databases}
        self._judge()

    @property
    def detail(self) -> str:
        """What whoever is refused is told."""
        return f"The limit is {self.limit} bytes, used {self.used} when they were counted last."

    def _judge(self) -> None:
        self.full = self.limit is not None and self.used >= self.limit


UNLIMITED = Storage()
