"""The store in memory answers by its own clock, and is never away."""

from __future__ import annotations

from proxy.fleet.stores.memory import MemoryStore
from proxy.quota.exchange import Request, Take, Terms


async def test_it_counts_by_its_own_clock() -> None:
    now = [100.0]
    store = MemoryStore(Terms(settle=0.0), lambda: now[0])
    take = Take("acme//statements_per_second/", 10.0, 10.0, 10.0, 0.0)
    first = await store.exchange(Request("a", 1, takes=[take]))
    now[0] = 100.2
    second = await store.exchange(Request("a", 2, first.epoch, takes=[take]))
    assert first.granted[take.key] == (10.0, 0.0)
    assert round(second.granted[take.key][0], 6) == 2.0
    assert second.time == 100.2
    await store.close()


async def test_each_store_is_an_epoch_of_its_own() -> None:
    epochs = {(await MemoryStore(Terms()).exchange(Request("a", 1))).epoch for _ in range(3)}
    assert len(epochs) == 3
