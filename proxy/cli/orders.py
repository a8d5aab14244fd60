"""What was asked for is held by the one command that works on it: no two go on with a move from this host.

Promises: who is stopped, or waits for something, still holds it; who is killed does not. The locks at the servers are
gone with their connections, and then a command that was thought dead could still write the rules.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.errors import ConfigurationError


def unbegun(path: Path, tenant: str) -> ConfigurationError:
    """Why nothing goes on where this file is not."""
    return ConfigurationError([f"{path} is not there: no move of {tenant} was begun here"])


@contextmanager
def held(path: Path, tenant: str) -> Iterator[None]:
    """Nobody else is in such a block for this file. ConfigurationError where somebody is, or it is not there."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise unbegun(path, tenant) from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError([f"another command is moving {tenant}"]) from None
        if not os.fstat(file).st_nlink:  # it was taken away meanwhile
            raise unbegun(path, tenant)
        yield
    finally:
        os.close(file)
