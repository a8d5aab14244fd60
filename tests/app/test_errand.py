"""The process of an errand: it answers and ends, ends with who asked, and leaves nothing of what it had begun."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.app.errand import AT_A_TIME, looked, made
from proxy.backup.labels import Label
from proxy.backup.schedules import Done, Errand
from proxy.fleet.frames import HEADER, framed
from proxy.tenancy.policy import BackupRule
from proxy.tenancy.servers import place_of
from tests.backup.shelf import operators, sample_grant
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample

BEGUN = 1_795_000_000
SECONDS = 30.0


@contextmanager
def process(question: Any) -> Iterator[subprocess.Popen[bytes]]:
    """One that was asked."""
    command = [sys.executable, "-m", "proxy.app.errand"]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert started.stdin is not None
        started.stdin.write(framed(pickle.dumps(question)))
        started.stdin.flush()
        yield started
    finally:
        started.kill()
        started.wait()
        for one in (started.stdin, started.stdout, started.stderr):
            assert one is not None
            one.close()


@contextmanager
def silent_server() -> Iterator[int]:
    """A port at which somebody listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:  # the kernel answers, and nobody accepts
        yield listening.getsockname()[1]


def errand(cluster: Cluster, to: str, port: int | None = None) -> Errand:
    place = operators(cluster, "shared")
    if port is not None:
        place = place_of(f"postgresql://x@127.0.0.1:{port}/x?sslmode=disable", None)
    return Errand(place, sample_grant(cluster), BackupRule("0 2 * * *", to), 1, BEGUN, 60.0)


def test_it_answers_with_the_backup_and_a_look_finds_it(postgres15: Cluster, tmp_path: Path) -> None:
    with process(errand(load_sample(postgres15), str(tmp_path))) as asked:
        assert asked.stdout is not None
        (length,) = HEADER.unpack(asked.stdout.read(HEADER.size))
        done = pickle.loads(asked.stdout.read(length))
        assert asked.wait(SECONDS) == 0
    assert isinstance(done, Done)
    assert looked([(("globex", "shared"), BackupRule("0 2 * * *", str(tmp_path)))], BEGUN + 1.0) == [done.readback]


@pytest.mark.parametrize("way", ["asked to end", "nobody is there any more"])
def test_nothing_stays_of_what_it_had_begun(postgres15: Cluster, tmp_path: Path, way: str) -> None:
    with silent_server() as port, process(errand(load_sample(postgres15), str(tmp_path), port)) as asked:
        begun = Label("globex", "shared", BEGUN, sealed=False).name
        assert eventually(lambda: list(tmp_path.glob(f".{begun}.*.partial")), SECONDS)
        assert os.getpriority(os.PRIO_PROCESS, asked.pid) >= 5
        if way == "asked to end":
            asked.send_signal(signal.SIGTERM)
        else:
            assert asked.stdin is not None
            asked.stdin.close()
        assert asked.wait(SECONDS) == 1
    assert list(tmp_path.iterdir()) == []


def test_places_that_hang_keep_the_others_from_nothing(tmp_path: Path) -> None:
    """A pipe in the place of a note: who opens it waits for whoever writes there, as for a disk that is away."""
    rule = BackupRule("0 2 * * *", f"{tmp_path}/{{tenant}}")
    hung = [(f"hung{number}", "shared") for number in range(AT_A_TIME)]
    pipes = []
    for tenant, database in hung:
        label = Label(tenant, database, BEGUN, sealed=False)
        archive = Path(label.within(rule.to)) / label.name
        archive.parent.mkdir()
        archive.touch()
        pipes.append(Path(f"{archive}.readback"))
        os.mkfifo(pipes[-1])
    places = [(key, rule) for key in (*hung, ("well", "shared"))]
    try:
        told = f"{rule.to} did not answer within 2 s"
        assert looked(places, BEGUN + 1.0, 2.0) == [*[told] * AT_A_TIME, None]
        left = f"{rule.to} was not looked at: too many others did not answer"
        assert looked(places, BEGUN + 1.0, 1.0, 0.5)[-1] == left
    finally:
        for one in pipes:
            os.close(os.open(one, os.O_RDWR | os.O_NONBLOCK))


def test_what_does_not_go_is_told_and_not_a_crash(postgres15: Cluster, tmp_path: Path) -> None:
    told = made(errand(load_sample(postgres15), str(tmp_path), 1))
    assert isinstance(told, list)
    assert told[0].startswith("backup of globex: ")
    assert looked([(("globex", "shared"), BackupRule("0 2 * * *", str(tmp_path / "mount")))], 0.0) == [
        f"{tmp_path}/mount is not there: make the folder, or mount its disk"
    ]
    assert looked([(("globex", "shared"), BackupRule("0 2 * * *", str(tmp_path)))], 0.0) == [None]
