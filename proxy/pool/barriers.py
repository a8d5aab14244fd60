"""Barriers: where nothing is opened for now, and where one opening may try whether that is over.

A barrier stands at a key: a site's, or a share's. It is shut while what failed is left alone. After the wait it is
ajar: one opening may pass, and nobody else until it is known what became of that one. Decides nothing about time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic

from proxy.pool.share import C, Opening, Share, T

SHUT = Opening()  # in the place of the opening that tries: none may


class Barriers(Generic[C, T]):
    """Of one ledger."""

    __slots__ = ("_trials",)

    def __init__(self) -> None:
        self._trials: dict[Hashable, Opening | None] = {}  # by key: who tries; None: who comes first may

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._trials)

    def shut(self, key: Hashable) -> None:
        """Nothing is opened there."""
        self._trials[key] = SHUT

    def ajar(self, key: Hashable) -> None:
        """One opening may try, if there is a barrier at all; not another, while one does."""
        if self._trials.get(key) is SHUT:
            self._trials[key] = None

    def lift(self, key: Hashable) -> None:
        """Everything may be opened there."""
        self._trials.pop(key, None)

    def barring(self, share: Share[C, T]) -> Hashable:
        """The key of the barrier that the share cannot pass now; None where it can."""
        for key in (share.site.key, share.key):
            if self._trials.get(key) is not None:
                return key
        return None

    def bars(self, share: Share[C, T]) -> bool:
        """Can nothing be opened for it now?"""
        return bool(self._trials) and self.barring(share) is not None

    def hopeless(self, share: Share[C, T]) -> Hashable:
        """As barring(), for who comes now: it may hope for a connection that there is, and not for the one that is
        being tried, which others wait for.
        """
        if not self._trials or share.idle or share.leased or share.cleaning:
            return None
        if any(one not in self._trials.values() for one in share.opening):
            return None
        return self.barring(share)

    def begun(self, opening: Opening, share: Share[C, T]) -> None:
        """It passes, and is the one that tries."""
        for key in (share.site.key, share.key):
            if key in self._trials and self._trials[key] is None:
                self._trials[key] = opening

    def ended(self, opening: Opening) -> None:
        """Nothing is known through it: another may try."""
        for key, one in self._trials.items():
            if one is opening:
                self._trials[key] = None
