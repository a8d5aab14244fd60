"""The process of one scheduled backup, or of one look at where archives are: `python -m proxy.app.errand`.

It is asked on standard input by a proxy and by nobody else, gives way to whoever serves clients, answers on standard
output and ends. When the proxy is gone, or asks it to, it removes what it has begun. Pickle is safe here: both ends
are this program, and the pipes are inherited.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, NoReturn

from proxy.app.operators import reasons
from proxy.backup.inventory import Inventory
from proxy.backup.scheduled import carry_out
from proxy.backup.schedules import Done, Errand, Found, Key
from proxy.errors import ConfigurationError
from proxy.fleet.frames import HEADER, framed
from proxy.fleet.leash import hold
from proxy.tenancy.policy import BackupRule

YIELDING = 5  # how nice it is to other processes
AT_A_TIME = 8  # places that are looked at


def made(errand: Errand) -> Done | list[str]:
    """The backup, or why there is none."""
    try:
        return asyncio.run(carry_out(errand, time.time))
    except Exception as error:
        found = reasons(f"backup of {errand.grant.tenant}", error)
        if found is None:
            raise
        return found


def looked(places: Sequence[tuple[Key, BackupRule]], now: float) -> list[Found]:
    """The last good backup at each of these."""

    def look(place: tuple[Key, BackupRule]) -> Found:
        (tenant, database), rule = place
        try:
            newest = Inventory(rule.to, tenant, database).newest(now)
        except ConfigurationError as error:
            return error.problems[0]
        return None if newest is None else newest.receipt

    with ThreadPoolExecutor(AT_A_TIME) as threads:
        return list(threads.map(look, places))


def serve(source: int, sink: BinaryIO) -> None:
    """Answers one question."""
    (length,) = HEADER.unpack(_exactly(source, HEADER.size))
    question = pickle.loads(_exactly(source, length))  # noqa: S301  # our parent's bytes over an inherited pipe
    hold(source, 0.0)
    answer: Any = made(question) if isinstance(question, Errand) else looked(question, time.time())
    sink.write(framed(pickle.dumps(answer)))
    sink.flush()


def _exactly(source: int, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = os.read(source, size - len(found))
        if not part:
            raise EOFError("nobody asks any more")
        found += part
    return found


def _end(_number: int, _frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what was begun is removed now
    raise SystemExit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the proxy's business; it closes our pipe
    signal.signal(signal.SIGTERM, _end)
    os.nice(YIELDING)
    serve(sys.stdin.fileno(), sys.stdout.buffer)
