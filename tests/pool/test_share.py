"""Shares count by the lengths of their lists."""

from __future__ import annotations

from proxy.pool.share import NO_LIMIT, Opening, Share, Site, Standing


def made() -> Share[str, int]:
    return Share("server", "acme", frozenset(), Site("site"), Standing("acme"))


def test_what_is_on_its_way_is_not_needed_again_and_is_in_use() -> None:
    share = made()
    share.waiting.update({1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0})
    share.opening[Opening()] = None
    share.cleaning["a"] = None
    share.reserved["another's"] = None
    share.leased["b"] = 0.0
    assert (share.need, share.busy, share.size) == (1, 4, 3)


def test_an_idle_connection_is_in_nobodys_use_and_a_hope() -> None:
    share = made()
    assert not share.hopeful
    share.closing["a"] = None
    assert not share.hopeful
    share.idle["b"] = None
    assert (share.hopeful, share.busy, share.size) == (True, 0, 1)


def test_the_reserve_is_there_while_somebody_is_hurried() -> None:
    standing: Standing[str, int] = Standing("acme", limit=3, reserve=2)
    assert standing.most == 3
    standing.hurried[1] = None
    assert standing.most == 5
    assert Standing("globex").most == NO_LIMIT
