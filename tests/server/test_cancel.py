"""Cancel keys: the proxy's own, for one session each, and a wrong one does nothing."""

from __future__ import annotations

import pytest

from proxy.server.cancel import SESSION_BITS, WORKER_BITS, CancelKeys


class Session:
    def __init__(self, secret_key: bytes = b"four") -> None:
        self.secret_key = secret_key
        self.cancelled = 0

    async def cancel(self) -> None:
        self.cancelled += 1


async def test_a_key_cancels_its_own_session_only() -> None:
    known, mine, other = CancelKeys(), Session(), Session(b"else")
    process_id = known.register(mine)
    known.register(other)
    assert await known.cancel(process_id, b"four")
    assert (mine.cancelled, other.cancelled) == (1, 0)


@pytest.mark.parametrize("secret", [b"\0\0\0\0", b"", b"four\0", b"fou", b"else", b"four" * 8])
async def test_a_wrong_secret_cancels_nothing(secret: bytes) -> None:
    known, mine, other = CancelKeys(), Session(), Session(b"else")
    process_id = known.register(mine)
    known.register(other)
    assert not await known.cancel(process_id, secret)
    assert (mine.cancelled, other.cancelled) == (0, 0)


@pytest.mark.parametrize("secret", [b"\0\0\0\0", b""])
async def test_a_session_that_ended_or_never_was_is_not_cancelled(secret: bytes) -> None:
    known, mine = CancelKeys(), Session()
    process_id = known.register(mine)
    known.forget(process_id)
    assert not await known.cancel(process_id, b"four")
    assert not await known.cancel(process_id, secret)
    assert not await known.cancel(12345, secret)
    assert mine.cancelled == 0


def test_process_ids_are_unique_positive_and_say_host_and_worker() -> None:
    known = CancelKeys(host=5, worker=3)
    found = {known.register(Session()) for _ in range(1000)}
    assert len(found) == 1000
    assert all(0 < one < 1 << 31 for one in found)
    assert {one >> SESSION_BITS for one in found} == {5 << WORKER_BITS | 3}
    with pytest.raises(ValueError, match="6 bits"):
        CancelKeys(host=64)


async def test_the_beginning_of_a_long_key_is_no_key_and_neither_is_an_empty_one() -> None:
    known, long, none = CancelKeys(), Session(b"four" * 8), Session(b"")
    first, second = known.register(long), known.register(none)
    assert not await known.cancel(first, b"four")
    assert not await known.cancel(second, b"")
    assert await known.cancel(first, b"four" * 8)
    assert (long.cancelled, none.cancelled) == (1, 0)
