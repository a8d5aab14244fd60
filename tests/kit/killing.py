"""A command of the production code that kills itself (SIGKILL) at a named point, for proofs of what is left then.

A point is `module:function[:n][:after]`: the n-th call of that function or method, before it or once it is over; or
`calls:n`, the n-th call of any function of Python at all. The code itself has no switch for it. By hand: `python -m
tests.kit.killing module:function[:n] -- arguments…`. Tests keep one warm process that forks for each command, because
starting Python costs more than what is proved.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WARM = (
    "proxy.cli",
    "proxy.cli.quiet",
    *(f"proxy.backup.{name}" for name in ("archive", "checking", "remaking", "restoring", "sealing", "taking")),
)
ENDING: list[Callable[[], None]] = []  # what a command that came to its end has still to do


def die() -> None:
    """What `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def plant(point: str) -> None:
    """The process ends at this point. LookupError, ImportError or AttributeError when there is no such."""
    module_name, _, rest = point.partition(":")
    if module_name == "calls":
        _count(int(rest))
        return
    path, *more = rest.split(":")
    after = "after" in more
    turn = next((int(one) for one in more if one != "after"), 1)
    owner: Any = importlib.import_module(module_name)
    *above, name = path.split(".")
    for one in above:
        owner = getattr(owner, one)
    original = getattr(owner, name)
    setattr(owner, name, deadly(original, turn, after))
    if not above:
        _renew(original, getattr(owner, name))


def _count(last: int) -> None:
    """Ends at the call of this number; all are told on standard error when the process ends before."""
    calls = itertools.count(1)

    def seen(_frame: object, event: str, _argument: object) -> None:
        if event == "call" and next(calls) == last:
            die()

    threading.setprofile(seen)
    sys.setprofile(seen)
    ENDING.append(lambda: print(f"calls {next(calls)}", file=sys.stderr))


def _renew(original: object, deadly: object) -> None:
    """Modules that took the function by its name have the other one, too."""
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()) if getattr(module, "__name__", "").startswith("proxy") else ():
            if value is original:
                setattr(module, name, deadly)


def deadly(original: Callable[..., Any], turn: int, after: bool) -> Callable[..., Any]:
    """The function, of which the n-th call kills. after: once it has returned, been awaited, or its block was left."""
    calls = itertools.count(1)

    @functools.wraps(original)
    def called(*arguments: Any, **named: Any) -> Any:
        mine = next(calls) == turn
        if mine and not after:
            die()
        result = original(*arguments, **named)
        if not mine:
            return result
        if inspect.iscoroutine(result):
            return _awaited(result)
        if type(result).__module__ == "contextlib":
            return _Left(result)
        die()
        return result

    return called


async def _awaited(result: Any) -> None:
    await result
    die()


class _Left:
    """A context that kills once it was left."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __enter__(self) -> Any:
        return self._inner.__enter__()

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(*error)
        die()

    async def __aenter__(self) -> Any:
        return await self._inner.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await self._inner.__aexit__(*error)
        die()


def run(point: str, arguments: Sequence[str]) -> int:
    """`partywall` with these arguments, up to the point ('': to its end); its exit status."""
    from proxy.cli import application

    if point:
        plant(point)
    try:
        application(list(arguments), standalone_mode=True)
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        for one in ENDING:
            one()
    return 0


class Driver:
    """The warm process."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def start(self, point: str, *arguments: str, **environment: str) -> int:
        """Begins a command; its process id. One at a time; `ended` is to be called before the next."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([point, arguments, environment]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def ended(self) -> int:
        """Waits for it: its exit status, or minus the signal that ended it."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def run(self, point: str, *arguments: str, **environment: str) -> int:
        """Both."""
        self.start(point, *arguments, **environment)
        return self.ended()

    @property
    def told(self) -> str:
        """What the last command wrote."""
        return self._log.read_text("utf-8", "replace")


@contextmanager
def driver(log: Path) -> Iterator[Driver]:
    """A warm process, until the block ends. log: where commands write to."""
    command = [sys.executable, "-m", "tests.kit.killing", "--warm", str(log)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Driver(process, log)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _serve(log: str) -> None:
    for name in WARM:
        importlib.import_module(name)
    for line in sys.stdin:
        point, arguments, environment = json.loads(line)
        child = os.fork()
        if not child:
            _child(log, point, arguments, environment)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _child(log: str, point: str, arguments: list[str], environment: dict[str, str]) -> None:
    status = 70
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.update(environment)
        status = run(point, arguments)
    except BaseException:  # it must not go on as the warm process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    if sys.argv[1] == "--warm":
        _serve(sys.argv[2])
    else:
        sys.exit(run(sys.argv[1], sys.argv[sys.argv.index("--") + 1 :]))
