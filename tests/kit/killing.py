"""A command of the production code that kills itself (SIGKILL) at a named point, for proofs of what is left then.

A point is `module:function[:n][:after]`: the n-th call of that function or method, before it or once it is over; or
`calls:n`, the n-th call of any function of Python at all, in `calls:n:module:function[:n]` from that point on. With
`:stop` a named point stops the command (SIGSTOP) until it is told to go on, so that something else can be killed there.
The code itself has no switch for it. By hand: `python -m tests.kit.killing module:function[:n] -- arguments…`. Tests
keep one warm process that forks for each command, because starting Python costs more than what is proved.
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
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

WARM = (
    "proxy.cli",
    "proxy.cli.quiet",
    "proxy.cli.doors",
    *(
        f"proxy.backup.{name}"
        for name in ("archive", "chain", "checking", "leaving", "moving", "remaking", "restoring")
    ),
    *(f"proxy.backup.{name}" for name in ("sealing", "since", "taking")),
)
SEED = int(os.environ.get("PARTYWALL_TEST_SEED", "20261126"))  # of whatever is drawn
STOPPED = "stopped"
ENDING: list[Callable[[], None]] = []  # what a command that came to its end has still to do


def die() -> None:
    """What `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    """Nothing of the process runs until somebody sends it SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


def plant(point: str) -> None:
    """The process ends at this point. LookupError, ImportError or AttributeError when there is no such."""
    module_name, _, rest = point.partition(":")
    if module_name == "calls":
        last, _, since = rest.partition(":")
        if since:
            _plant(since, functools.partial(_count, int(last)))
        else:
            _count(int(last))
    else:
        _plant(point, stop if point.endswith(":stop") else die)


def _plant(point: str, act: Callable[[], None]) -> None:
    module_name, path, *more = point.split(":")
    turn = next((int(one) for one in more if one.isdigit()), 1)
    owner: Any = importlib.import_module(module_name)
    *above, name = path.split(".")
    for one in above:
        owner = getattr(owner, one)
    original = getattr(owner, name)
    setattr(owner, name, deadly(original, turn, "after" in more, act))
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


def deadly(original: Callable[..., Any], turn: int, after: bool, act: Callable[[], None] = die) -> Callable[..., Any]:
    """The function, of which the n-th call kills. after: once it has returned, been awaited, or its block was left.
    act: instead of that."""
    calls = itertools.count(1)

    @functools.wraps(original)
    def called(*arguments: Any, **named: Any) -> Any:
        mine = next(calls) == turn
        if mine and not after:
            act()
        result = original(*arguments, **named)
        if not mine or not after:
            return result
        if inspect.iscoroutine(result):
            return _awaited(result, act)
        if type(result).__module__ == "contextlib":
            return _Left(result, act)
        act()
        return result

    return called


async def _awaited(result: Any, act: Callable[[], None]) -> Any:
    value = await result
    act()
    return value


class _Left:
    """A context that kills once it was left."""

    def __init__(self, inner: Any, act: Callable[[], None]) -> None:
        self._inner = inner
        self._act = act

    def __enter__(self) -> Any:
        return self._inner.__enter__()

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(*error)
        self._act()

    async def __aenter__(self) -> Any:
        return await self._inner.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await self._inner.__aexit__(*error)
        self._act()


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
        self._child = 0  # the command that runs

    def start(self, point: str, *arguments: str, **environment: str) -> int:
        """Begins a command; its process id. One at a time; `ended` is to be called before the next."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([point, arguments, environment]) + "\n")
        self._process.stdin.flush()
        self._child = int(self._process.stdout.readline())
        return self._child

    def stopped(self) -> None:
        """Waits until it stands still at its point. AssertionError when it came to its end."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        if said != STOPPED:
            self._child = 0
            raise AssertionError(f"it ended with {said} and was never stopped: {self.told}")

    def go_on(self) -> int:
        """It goes on to its end: as `ended`."""
        os.kill(self._child, signal.SIGCONT)
        return self.ended()

    def kill(self) -> None:
        """A command that is not needed any more."""
        assert self._process.stdout is not None
        if self._child:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            while self._process.stdout.readline().strip() == STOPPED:
                pass
            self._child = 0

    def ended(self) -> int:
        """Waits for it: its exit status, or minus the signal that ended it."""
        assert self._process.stdout is not None
        status = int(self._process.stdout.readline())
        self._child = 0
        return status

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
        one = Driver(process, log)
        try:
            yield one
        finally:
            one.kill()
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
        while os.WIFSTOPPED(status := os.waitpid(child, os.WUNTRACED)[1]):
            print(STOPPED, flush=True)
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
