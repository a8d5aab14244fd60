"""The process of one scheduled backup, or of one look at where archives are: `python -m proxy.app.errand`.

It is asked on standard input by a proxy and by nobody else, gives way to whoever serves clients, answers on standard
output and ends. When the proxy is gone, or asks it to, it removes what it has begun. A place that does not answer is
told as that, and keeps the others from nothing. Pickle is safe here: both ends are this program, and the pipes are
inherited.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, BinaryIO, NoReturn

from proxy.app.operators import reasons
from proxy.backup.inventory import Inventory
from proxy.backup.scheduled import carry_out
from proxy.backup.schedules import Done, Errand, Found, Key
from proxy.errors import ConfigurationError
from proxy.fleet.frames import framed
from proxy.fleet.leash import hold, received
from proxy.tenancy.policy import BackupRule

YIELDING = 5  # how nice it is to other processes
AT_A_TIME = 8  # places that are looked at, those that hang not counted
PATIENCE = 60.0  # seconds for one of them
ENOUGH = 480.0  # seconds for all; the rest is looked at another time


def made(errand: Errand) -> Done | list[str]:
    """The backup, or why there is none."""
    try:
        return asyncio.run(carry_out(errand, time.time))
    except Exception as error:
        found = reasons(f"backup of {errand.grant.tenant}", error)
        if found is None:
            raise
        return found


def looked(
    places: Sequence[tuple[Key, BackupRule]], now: float, patience: float = PATIENCE, enough: float = ENOUGH
) -> list[Found]:
    """The last good backup at each of these. patience: seconds for each; enough: for all of them."""
    found: list[Found] = [f"{rule.to} was not looked at: too many others did not answer" for _, rule in places]
    answers: queue.SimpleQueue[tuple[int, Found]] = queue.SimpleQueue()

    def look(number: int) -> None:
        (tenant, database), rule = places[number]
        try:
            newest = Inventory(rule.to, tenant, database).newest(now)
        except ConfigurationError as error:
            answers.put((number, error.problems[0]))
        except Exception as error:
            answers.put((number, f"{rule.to}: {error!r}"))
        else:
            answers.put((number, None if newest is None else newest.readback))

    end = time.monotonic() + enough
    waiting = deque(range(len(places)))
    ends: dict[int, float] = {}  # of those that are looked at
    while ends or (waiting and time.monotonic() < end):
        while waiting and len(ends) < AT_A_TIME and time.monotonic() < end:
            number = waiting.popleft()
            ends[number] = time.monotonic() + patience
            # Of its own, because nothing ends one that hangs; and a daemon, because this process is to end.
            threading.Thread(target=look, args=(number,), daemon=True).start()
        try:
            number, answer = answers.get(timeout=max(0.0, min(ends.values()) - time.monotonic()))
        except queue.Empty:
            for number in [one for one, until in ends.items() if until <= time.monotonic()]:
                found[number] = f"{places[number][1].to} did not answer within {patience:g} s"
                del ends[number]
        else:
            if ends.pop(number, None) is not None:
                found[number] = answer
    return found


def serve(source: int, sink: BinaryIO) -> None:
    """Answers one question."""
    question: Any = received(source)
    hold(source, 0.0)
    answer: Any = made(question) if isinstance(question, Errand) else looked(question, time.time())
    sink.write(framed(pickle.dumps(answer)))
    sink.flush()


def _end(_number: int, _frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what was begun is removed now
    raise SystemExit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the proxy's business; it closes our pipe
    signal.signal(signal.SIGTERM, _end)
    os.nice(YIELDING)
    serve(sys.stdin.fileno(), sys.stdout.buffer)
