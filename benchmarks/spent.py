"""What a program took to run: seconds, its CPU time and the server's, and the most memory that one process of it held."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Spent:
    """seconds: from beginning to end. cpu: of the program with its children. server: of the server's processes that
    ended meanwhile. peak: bytes of memory of the largest process, by getrusage(2).
    """

    seconds: float
    cpu: float
    server: float
    peak: int


def spent(command: Sequence[str], postmaster: int, environment: Mapping[str, str]) -> Spent:
    """Runs a program to its end. RuntimeError with what it said when it fails."""
    before, begun = ended(postmaster), time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(environment)
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {said.decode(errors='replace')[-4000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return Spent(seconds, cpu, settled(postmaster) - before, usage.ru_maxrss * 1024)


def ended(postmaster: int) -> float:
    """CPU seconds of the children that a server's first process has had (cutime and cstime of proc(5))."""
    fields = Path(f"/proc/{postmaster}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / TICKS


def settled(postmaster: int) -> float:
    """The same, once a backend whose client is gone has ended, too."""
    last = ended(postmaster)
    while True:
        time.sleep(0.3)
        now = ended(postmaster)
        if now == last:
            return now
        last = now


def median(runs: Sequence[Spent]) -> Spent:
    """By each figure; the most of the memory."""
    return Spent(
        statistics.median(one.seconds for one in runs),
        statistics.median(one.cpu for one in runs),
        statistics.median(one.server for one in runs),
        max(one.peak for one in runs),
    )
