"""Progress is a value."""

from __future__ import annotations

from proxy.backup.progress import Progress


def test_progress_is_equal_to_what_says_the_same() -> None:
    assert Progress("read", 1, 2, 3) == Progress("read", 1, 2, 3, "")
    assert Progress("read", 1, 2, 3) != Progress("read", 1, 2, 4)
