"""A listening Unix socket: made where it is looked for, never taken from a living process, gone at the end.

That for clients is called `.s.PGSQL.` and the port, as PostgreSQL's. A lock file beside it says whose it is; the lock
is the kernel's, so that it ends with the process and no number of a process can be mistaken. A socket without a lock
that somebody still listens at (PostgreSQL's own) is left alone, unless its owner has ceded it, as who drains does. Who
may reach the folder may connect, and must log in.
Source: PostgreSQL documentation, "unix_socket_directories" and "unix_socket_permissions".
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from pathlib import Path

PERMISSIONS = 0o777  # PostgreSQL's default: the folder says who may come


def clients_path(directory: Path, port: int) -> Path:
    """Where clients look for it."""
    return directory / f".s.PGSQL.{port}"


class UnixSocket:
    """One listening socket and its lock. OSError when it cannot be made, or is another's."""

    def __init__(self, path: Path, permissions: int = PERMISSIONS, *, ceded: bool = False) -> None:
        """ceded: who listens there and has no lock will soon be gone, and is to be followed."""
        self.path = path
        self._permissions = permissions
        self._follows = ceded
        self._lock_path = self.path.with_name(f"{self.path.name}.lock")
        self._mine = False  # the names of socket and lock
        self._lock = self._take()
        try:
            self.listening = self._bind()
            self._mine = True
            self._made = self.path.stat()
            os.truncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            self._give_back()
            raise

    def close(self) -> None:
        """Takes the socket away, then the lock."""
        self.listening.close()
        if self._lock < 0:
            if self._is_named(self._made, self.path):
                self.path.unlink()
            return
        self.path.unlink(missing_ok=True)
        self._give_back()

    def cede(self) -> None:
        """Goes on listening, and lets the next process have the name."""
        if self._lock >= 0:
            self._give_back()
            self._lock = -1

    def _take(self) -> int:
        while True:
            lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_named(os.fstat(lock), self._lock_path):
                    return lock
            except BlockingIOError:
                os.close(lock)
                raise OSError(errno.EADDRINUSE, "another proxy listens there", str(self.path)) from None
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)  # its owner took the name away in between

    @staticmethod
    def _is_named(mine: os.stat_result, path: Path) -> bool:
        try:
            named = path.stat()
        except FileNotFoundError:
            return False
        return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)

    def _bind(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(1.0)
                if not self._follows and probe.connect_ex(str(self.path)) in {0, errno.EAGAIN}:
                    raise OSError(errno.EADDRINUSE, "another process listens there", str(self.path))
            if self.path.is_socket():  # left behind
                self.path.unlink()
            made.bind(str(self.path))
            self.path.chmod(self._permissions)
        except BaseException:
            made.close()
            raise
        return made

    def _give_back(self) -> None:
        if self._mine:
            self._lock_path.unlink(missing_ok=True)
        os.close(self._lock)
