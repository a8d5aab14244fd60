"""How much memory this process has, and how much it may have: read from the kernel, in bytes.

On a system that does not say (no /proc), nothing is known: 0 bytes resident, and no ceiling is ever reached.
"""

from __future__ import annotations

import os
from pathlib import Path

STATM = Path("/proc/self/statm")  # pages: total, resident, ...
CONTAINER = Path("/sys/fs/cgroup/memory.max")  # bytes, or "max"
SHARE = 0.8  # of the container's or machine's memory: the rest is for planner processes, and for who is inside


def resident(statm: Path = STATM) -> int:
    """Bytes of this process that are in memory now; 0 when unknown."""
    try:
        return int(statm.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def ceiling(container: Path = CONTAINER) -> int:
    """Bytes that this process may take when nobody says: a share of what its container has, or else the machine."""
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        machine = 0
    try:
        allowed = int(container.read_text(encoding="ascii"))
    except (OSError, ValueError):
        allowed = machine
    return int(SHARE * (min(allowed, machine) or allowed))
