"""Cancel keys: the proxy's own, for one session each, and a wrong one does nothing."""

from __future__ import annotations

import itertools

import pytest

from proxy.server.cancel import SESSION_BITS, WORKER_BITS, CancelKeys


class Session:
    def __init__(self) -> None:
        self.cancelled = 0

    async def cancel(self) -> None:
        self.cancelled += 1


def keys(host: int = 0, worker: int = 0) -> CancelKeys:
    numbers = itertools.count(1)
    return CancelKeys(lambda: next(numbers).to_bytes(4, "big"), host, worker)


async def test_a_key_cancels_its_own_session_only() -> None:
    known, mine, other = keys(), Session(), Session()
    process_id, secret = known.register(mine)
    known.register(other)
    assert await known.cancel(process_id, secret)
    assert (mine.cancelled, other.cancelled) == (1, 0)


@pytest.mark.parametrize("secret", [b"\0\0\0\0", b"", b"\0\0\0\1\0", b"\0\0\0\2"])
async def test_a_wrong_secret_cancels_nothing(secret: bytes) -> None:
    known, mine, other = keys(), Session(), Session()
    process_id, _ = known.register(mine)
    known.register(other)
    assert not await known.cancel(process_id, secret)
    assert (mine.cancelled, other.cancelled) == (0, 0)


@pytest.mark.parametrize("secret", [b"\0\0\0\0", b""])
async def test_a_session_that_ended_or_never_was_is_not_cancelled(secret: bytes) -> None:
    known, mine = keys(), Session()
    process_id, own = known.register(mine)
    known.forget(process_id)
    assert not await known.cancel(process_id, own)
    assert not await known.cancel(process_id, secret)
    assert not await known.cancel(12345, secret)
    assert mine.cancelled == 0


def test_process_ids_are_unique_positive_and_say_host_and_worker() -> None:
    known = keys(host=5, worker=3)
    found = {known.register(Session())[0] for _ in range(1000)}
    assert len(found) == 1000
    assert all(0 < one < 1 << 31 for one in found)
    assert {one >> SESSION_BITS for one in found} == {5 << WORKER_BITS | 3}
    with pytest.raises(ValueError, match="6 bits"):
        keys(host=64)
