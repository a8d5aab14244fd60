"""Ceilings: room for one more, and one too many, of all, of a site and of a tenant."""

from __future__ import annotations

from proxy.pool.ceilings import Ceilings
from proxy.pool.share import Opening, Share, Site, Standing


def made(total: int, held: int, *, site: float = 99, limit: float = 99, going: int = 0) -> tuple[bool, bool, bool]:
    """(room, surplus, over) of a share that holds so many, of which some are being closed."""
    share: Share[str, int] = Share("server", "acme", frozenset(), Site("site", site), Standing("acme", limit))
    places: dict[str | Opening, Share[str, int]] = {f"c{number}": share for number in range(held)}
    for one in places:
        share.site.places[one] = share.standing.places[one] = None
    ceilings: Ceilings[str, int] = Ceilings(total, places, {f"c{number}": None for number in range(going)})
    ceilings.look([share])
    return ceilings.room(share), ceilings.surplus(share), ceilings.over


def test_there_is_room_below_every_ceiling_and_none_at_one() -> None:
    assert made(3, 2) == (True, False, False)
    assert made(3, 3) == (False, False, False)
    assert made(9, 3, site=3) == (False, False, False)
    assert made(9, 3, limit=3) == (False, False, False)


def test_above_one_there_is_a_surplus_unless_enough_is_being_closed() -> None:
    assert made(2, 3) == (False, True, True)
    assert made(9, 3, site=2) == (False, True, True)
    assert made(9, 3, limit=2) == (False, True, True)
    for how in ({"total": 2}, {"total": 9, "site": 2}, {"total": 9, "limit": 2}):
        assert made(held=3, going=1, **how) == (False, False, True)
