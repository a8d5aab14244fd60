"""A lease ends once, and settings are part of the key whatever their order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.pool.lease import Lease, settings_of
from tests.pool.scripted import grant_at, wired


def test_settings_in_another_order_are_the_same_key() -> None:
    one = settings_of(grant_at(1, {"work_mem": "1MB", "timezone": "UTC"}))
    assert one == settings_of(grant_at(1, {"timezone": "UTC", "work_mem": "1MB"}))
    assert hash(one) == hash(settings_of(grant_at(1, {"timezone": "UTC", "work_mem": "1MB"})))


def test_another_value_or_one_setting_more_is_another_key() -> None:
    keys = [{}, {"work_mem": "1MB"}, {"work_mem": "2MB"}, {"work_mem": "1MB", "timezone": "UTC"}, {"1MB": "work_mem"}]
    assert len({settings_of(grant_at(1, key)) for key in keys}) == len(keys)


def test_the_key_does_not_follow_a_later_change_of_the_settings() -> None:
    settings = {"work_mem": "1MB"}
    key = settings_of(grant_at(1, settings))
    settings["work_mem"] = "2MB"
    assert key == settings_of(replace(grant_at(1), settings={"work_mem": "1MB"}))


async def test_a_lease_gives_its_connection_back_exactly_once() -> None:
    connection, _ = wired()
    lease = Lease(connection, grant_at(1))
    assert lease.end() is connection
    assert lease.ended
    with pytest.raises(RuntimeError, match="twice"):
        lease.end()
