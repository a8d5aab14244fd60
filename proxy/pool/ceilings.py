"""Ceilings: of all connections, of a site's, of a tenant's; whether there is room for one more, or one too many.

They are revocable: what is above a lowered one is told here, and the ledger closes it as it comes free. Connections
that are being closed keep their places until they are gone, but are nothing that could still be given back.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic

from proxy.pool.share import C, Opening, Share, T


class Ceilings(Generic[C, T]):
    """Over the ledger's `places`, of which `going` are being closed."""

    def __init__(self, total: int, places: Collection[C | Opening], going: Collection[C]) -> None:
        self.total = total
        self.over = False  # is there perhaps more somewhere than is allowed? Then a ceiling was lowered.
        self._places = places
        self._going = going

    def room(self, share: Share[C, T]) -> bool:
        """May one more be opened for the share?"""
        return (
            len(self._places) < self.total
            and len(share.site.places) < share.site.ceiling
            and len(share.standing.places) < share.standing.most
        )

    def surplus(self, share: Share[C, T]) -> bool:
        """Is there one more than may stay, where the share has its part?"""
        site, standing = share.site, share.standing
        if len(self._places) - len(self._going) > self.total:
            return True
        if len(site.places) > site.ceiling and self._staying(site.places) > site.ceiling:
            return True
        return len(standing.places) > standing.most and self._staying(standing.places) > standing.most

    def look(self, shares: Collection[Share[C, T]]) -> None:
        """Is there still too much anywhere?"""
        self.over = len(self._places) > self.total or any(
            len(share.site.places) > share.site.ceiling or len(share.standing.places) > share.standing.most
            for share in shares
        )

    def _staying(self, places: Collection[C | Opening]) -> int:
        return sum(one not in self._going for one in places)
