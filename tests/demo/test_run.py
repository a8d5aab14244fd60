"""The demo: its own server, tenants and proxy; the tour shows the wall, twice in a row, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def test_the_tour_shows_the_wall_twice_in_a_row() -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "proxy", "demo", "--once"], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the wall holds" in done.stdout.lower(), done.stdout
        assert "Traceback" not in done.stderr


def below(pid: int) -> set[int]:
    """The processes below one, whoever's session they are in."""
    children = {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()}
    return children.union(*(below(one) for one in children))


@pytest.fixture
def folder() -> Iterator[Path]:
    """For temporary files; open to the account that the server runs as, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="pw") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_takes_everything_down(ending: signal.Signals, folder: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "proxy", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    assert demo.stdout is not None
    processes: set[int] = set()
    try:
        said = ""
        for line in demo.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        ports = [int(one) for one in re.findall(r"(?:port |127\.0\.0\.1:)(\d+)", said)]
        processes = below(demo.pid)
        assert len(ports) >= 3
        assert len(processes) > 5  # the proxy, the postmaster and its own
        demo.send_signal(ending)
        demo.send_signal(ending)  # whoever is impatient does not stop the end
        said += demo.stdout.read()
        assert demo.wait(60) == 0, said
    finally:
        for one in (demo.pid, *processes) if demo.poll() is None else ():
            os.kill(one, signal.SIGKILL)
        demo.wait()
        demo.stdout.close()
    assert [one for one in processes if Path(f"/proc/{one}").exists()] == []
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
    assert "Traceback" not in said
    assert list(folder.iterdir()) == []
