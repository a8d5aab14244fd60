"""Leash: what a worker is told at its start, and that it ends when its supervisor does.

Both go over the worker's standard input, a pipe whose other end only the supervisor has: first one frame, then nothing,
and the end of the file is the supervisor's. A thread waits for it, so that it is seen even by a worker whose event
loop hangs. Pickle is safe here: both ends are this program, and the pipe is inherited.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from proxy.fleet.frames import HEADER, framed

GRACE = 10.0  # seconds beyond the drain until a worker that does not end is ended


@dataclass(frozen=True, slots=True)
class Post:
    """One worker's place. settings: of the process, as plain values. listening and door: files that it inherits, the
    sockets for clients and that of its own control door. doors: where each worker's is. paused: tenant, database and
    seconds left of each hold. canary: what the canaries' passwords are made of.
    """

    settings: dict[str, Any]
    number: int
    workers: int
    listening: tuple[int, ...]
    door: int
    doors: tuple[str, ...]
    paused: tuple[tuple[str | None, str | None, float | None], ...] = ()
    drained: tuple[str, ...] = ()
    canary: bytes = b""

    def encode(self) -> bytes:
        """The frame."""
        return framed(pickle.dumps(self, protocol=pickle.HIGHEST_PROTOCOL))


def told(source: int) -> Post:
    """What the supervisor says; EOFError when it is gone."""
    post = received(source)
    if not isinstance(post, Post):
        raise EOFError("the supervisor said something else")
    return post


def received(source: int) -> object:
    """What the process that started this one sends next; EOFError when it is gone."""
    (length,) = HEADER.unpack(_exactly(source, HEADER.size))
    return pickle.loads(_exactly(source, length))  # noqa: S301  # our own parent's bytes over an inherited pipe


def _exactly(source: int, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = os.read(source, size - len(found))
        if not part:
            raise EOFError("who started this process is gone")
        found += part
    return found


def hold(source: int, drain_timeout: float, end: Callable[[int], Any] = os._exit) -> threading.Thread:
    """From now on this process drains when the supervisor is gone, and ends if that takes too long."""

    def wait() -> None:
        while os.read(source, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(drain_timeout + GRACE)
        end(1)

    thread = threading.Thread(target=wait, name="leash", daemon=True)
    thread.start()
    return thread
