"""A worker is told its place once, and ends when the other end of the pipe is closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from proxy.fleet.frames import HEADER
from proxy.fleet.leash import Post, hold, told

POST = Post({"workers": 2}, 1, 2, (7, 8), 9, ("\0a", "\0b"), (("acme", None, 3.0),), ("globex",), b"key")


def pipe(*sent: bytes) -> int:
    """The reading end of a pipe that holds this, and is closed."""
    source, sink = os.pipe()
    for one in sent:
        os.write(sink, one)
    os.close(sink)
    return source


def test_a_worker_is_told_just_what_its_supervisor_said() -> None:
    source = pipe(POST.encode())
    assert told(source) == POST
    os.close(source)


@pytest.mark.parametrize("sent", [b"", b"\0\0", POST.encode()[:-1], HEADER.pack(4) + b"\x80\x05N."])
def test_half_a_word_is_a_supervisor_that_is_gone(sent: bytes) -> None:
    source = pipe(sent)
    with pytest.raises(EOFError):
        told(source)
    os.close(source)


def test_what_outlives_the_drain_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    ended: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr("proxy.fleet.leash.GRACE", 0.01)
    source = pipe()
    thread = hold(source, 0.0, ended.append)
    thread.join(20)
    assert sent == [(os.getpid(), signal.SIGTERM)]
    assert ended == [1]
    os.close(source)


def test_while_the_supervisor_lives_nothing_happens() -> None:
    source, sink = os.pipe()
    program = "import signal; from proxy.fleet.leash import hold; hold(0, 0.0); print(1, flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=source, stdout=subprocess.PIPE) as child:
        os.close(source)
        assert child.stdout is not None
        said = child.stdout.readline()
        alive = child.poll() is None
        os.close(sink)
        assert (said, alive) == (b"1\n", True)
        assert child.wait(20) == -signal.SIGTERM
