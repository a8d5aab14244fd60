"""Storage: what is known of a tenant's databases together decides, and what is not known limits nobody."""

from __future__ import annotations

from proxy.quota.storage import UNLIMITED, Storage


def test_a_tenant_is_full_when_its_databases_together_have_what_it_may() -> None:
    storage = Storage(100)
    full = []
    for database, size in (("a", 60), ("b", 39), ("b", 40)):
        storage.counted(database, size)
        full.append(storage.full)
    assert full == [False, False, True]
    assert storage.detail == "The limit is 100 bytes, used 100 when they were counted last."
    storage.counted("a", 50)
    assert (storage.full, storage.used) == (False, 90)


def test_another_limit_holds_at_once() -> None:
    storage = Storage(100)
    storage.counted("a", 60)
    storage.hold_to(50, True)
    assert (storage.full, storage.warns) == (True, True)
    storage.hold_to(None, False)
    assert not storage.full


def test_a_database_that_is_the_tenants_no_more_does_not_count() -> None:
    storage = Storage(100)
    storage.counted("a", 60)
    storage.counted("b", 60)
    storage.keep({"a": None})
    assert (storage.full, storage.used) == (False, 60)


def test_without_a_count_nobody_is_full() -> None:
    assert not UNLIMITED.full
    assert not Storage(1).full
