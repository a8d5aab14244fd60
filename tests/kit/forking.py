"""`partywall` at the price of a fork: one process has imported it, and each start is a fork of that.

The child is given its arguments, environment, folder and files whole; what differs from `python -m proxy` is that the
imports are done, which is most of a start. What a proxy starts itself are real processes. So is a start whose
environment changes what Python imports: tests.escapes.faults breaks the planner so.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 1 << 20  # bytes of a request
NUMBER = 8  # bytes of a process id or wait status


def _pythons(environment: Mapping[str, str]) -> dict[str, str]:
    """What a Python asks at its start."""
    return {name: value for name, value in environment.items() if name.startswith(("PYTHON", "LC_", "LANG"))}


ORDINARY = _pythons(os.environ)


class Started(Protocol):
    """What is asked of a process: subprocess.Popen's part of it."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class Forked:
    """One process. `told`: where its parent tells its id, and at its end its wait status."""

    def __init__(self, command: Sequence[str], told: socket.socket) -> None:
        self._command = command
        self._told = told
        self.returncode: int | None = None
        self.pid = self._number()

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        if self.returncode is None and self._readable(0.0):
            self.returncode = os.waitstatus_to_exitcode(self._number())
            self._told.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. subprocess.TimeoutExpired."""
        if self.returncode is None and not self._readable(timeout):
            raise subprocess.TimeoutExpired(self._command, timeout or 0.0)
        found = self.poll()
        assert found is not None
        return found

    def send_signal(self, sig: int) -> None:
        """Nothing to one that has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _readable(self, timeout: float | None) -> bool:
        asked = select.poll()
        asked.register(self._told, select.POLLIN)
        return bool(asked.poll(None if timeout is None else timeout * 1000))

    def _number(self) -> int:
        data = self._told.recv(NUMBER, socket.MSG_WAITALL)
        if len(data) != NUMBER:
            raise RuntimeError("the process that forks proxies has ended")
        return int.from_bytes(data, "big")


def start(
    arguments: Sequence[str], environment: Mapping[str, str], stdout: int, stderr: int, folder: Path | None = None
) -> Started:
    """`partywall` with these arguments, its input empty. environment: whole. stdout, stderr: open files. folder: where
    it stands; None: here.
    """
    command = [sys.executable, "-m", "proxy", *arguments]
    if _pythons(environment) != ORDINARY:
        null = subprocess.DEVNULL
        return subprocess.Popen(command, stdin=null, stdout=stdout, stderr=stderr, env=dict(environment), cwd=folder)
    request = json.dumps([list(arguments), dict(environment), str(folder or Path.cwd())]).encode()
    assert len(request) <= LONGEST
    told, telling = socket.socketpair()
    with telling:
        socket.send_fds(_door(), [request], [telling.fileno(), stdout, stderr])
    return Forked(command, told)


def run(
    arguments: Sequence[str], environment: Mapping[str, str], timeout: float, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The same to its end, and what it printed. subprocess.TimeoutExpired, after which it is killed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = start(arguments, environment, out.fileno(), err.fileno(), folder)
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
            process.wait()
        texts = []
        for one in (out, err):
            one.seek(0)
            texts.append(one.read().decode())
        return subprocess.CompletedProcess(["partywall", *arguments], status, *texts)


@functools.cache
def _door() -> socket.socket:
    """Towards the one that has imported everything, which ends when this process does."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
    command = [sys.executable, "-m", "tests.kit.forking"]
    environment = {"PATH": os.environ.get("PATH", os.defpath)} | ORDINARY  # each child is given its own
    with there:
        forker = subprocess.Popen(command, stdin=there.fileno(), env=environment, cwd=ROOT)

    def end() -> None:
        here.close()
        forker.wait()

    atexit.register(end)
    return here


class _Forker:
    """Forks at each request that comes by the door, and tells how each child ended."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._woken, self._wakes = socket.socketpair()
        self._children: dict[int, socket.socket] = {}
        for one in (self._woken, self._wakes):
            one.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes.fileno())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the tests is not this one's

    def __call__(self) -> list[str] | None:
        """In a child: the arguments that it was given. In this process, when all is over: None."""
        asked = select.poll()
        asked.register(self._door, select.POLLIN)
        asked.register(self._woken, select.POLLIN)
        while True:
            ready = [number for number, _ in asked.poll()]
            if self._woken.fileno() in ready:
                self._woken.recv(4096)
                self._tell()
            if self._door.fileno() in ready:
                request, files, _, _ = socket.recv_fds(self._door, LONGEST, 3)
                if not request:
                    return None
                pid = os.fork()
                if pid == 0:
                    return self._become(request, files)
                self._children[pid] = told = socket.socket(fileno=files[0])
                told.sendall(pid.to_bytes(NUMBER, "big"))
                for one in files[1:]:
                    os.close(one)

    def _tell(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self._children.pop(pid) as told:
                told.sendall(status.to_bytes(NUMBER, "big"))

    def _become(self, request: bytes, files: list[int]) -> list[str]:
        """What a fresh process would be: no file but its three, the signals as they are at a start."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for one in (self._door, self._woken, self._wakes, *self._children.values()):
            one.detach()
        for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), files[1], files[2])):
            os.dup2(file, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        arguments, environment, folder = json.loads(request)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        os.chdir(folder)
        return list(arguments)


def _main() -> None:
    from proxy.cli import main  # not in the tests' own process

    gc.collect()
    gc.freeze()  # else each child would copy what it looks through
    arguments = _Forker(socket.socket(fileno=0))()
    if arguments is not None:
        sys.argv[:] = ["partywall", *arguments]
        main()


if __name__ == "__main__":
    _main()
