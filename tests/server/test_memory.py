"""What the kernel says of memory: bytes, and nothing where it does not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.server.memory import SHARE, ceiling, resident


def test_a_process_knows_its_own_size_in_bytes() -> None:
    before = resident()
    assert before > 1 << 20
    held = bytearray(os.urandom(64)) * (1 << 20)
    assert resident() >= before + len(held) // 2
    del held


def test_a_system_that_does_not_say_has_no_size(tmp_path: Path) -> None:
    assert resident(tmp_path / "statm") == 0
    (tmp_path / "statm").write_text("17")
    assert resident(tmp_path / "statm") == 0


@pytest.mark.parametrize(("limit", "expected"), [("1000000", int(SHARE * 1_000_000)), ("max", None)])
def test_the_ceiling_is_a_share_of_the_container_or_else_of_the_machine(
    tmp_path: Path, limit: str, expected: int | None
) -> None:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    (tmp_path / "memory.max").write_text(limit + "\n")
    assert ceiling(tmp_path / "memory.max") == (int(SHARE * machine) if expected is None else expected)
    assert ceiling(tmp_path / "none") == int(SHARE * machine)
