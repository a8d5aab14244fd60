"""A forked `partywall` is what a fresh one would be: what it prints, how it ends, what it has."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.forking import run
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample


@pytest.fixture(scope="module")
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


def files(proxy: Proxy) -> Counter[str]:
    """What it has open but for connections and the journal, which opens later; without numbers and folders."""
    local = {line.split()[6] for line in Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()[1:]}
    names = [str(one.readlink()) for one in Path(f"/proc/{proxy.process.pid}/fd").iterdir()]
    kept = [one for one in names if not one.startswith("socket:") or one[8:-1] in local]
    return Counter(re.sub(r"\d+", "", one.rpartition("/")[2]) for one in kept if "/usage.sqlite" not in one)


def signals(proxy: Proxy) -> list[str]:
    """Which are blocked, ignored and caught, of those that are not the C library's own."""
    lines = Path(f"/proc/{proxy.process.pid}/status").read_text(encoding="ascii").splitlines()
    return [one[:6] + one[-8:] for one in lines if one.startswith(("SigBlk", "SigIgn", "SigCgt"))]


@pytest.mark.parametrize("arguments", [["schema"], ["serve", "--no-such"], ["check", "--rules", "/no/such"]])
def test_it_prints_and_ends_as_a_fresh_one(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "proxy", *arguments]
    fresh = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    forked = run(arguments, os.environ, 120)
    assert (forked.returncode, forked.stdout, forked.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)


def test_its_environment_and_folder_are_those_that_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd.yaml").write_text("tenant: [", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["check", "."], os.environ, 120).stderr.startswith("odd.yaml:2: ")
    monkeypatch.undo()
    assert run(["check", "."], os.environ, 120, tmp_path).stderr.startswith("odd.yaml:2: ")
    refused = run(["serve", "--rules", "."], os.environ | {"PARTYWALL_LISTEN": "nowhere"}, 120, tmp_path)
    assert "PARTYWALL_LISTEN" in refused.stderr


def test_it_has_the_files_and_signals_of_a_fresh_one(
    proxy: Proxy, postgres15: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    with running_proxy(postgres15.port) as fresh:
        assert isinstance(fresh.process, subprocess.Popen)
        assert not isinstance(proxy.process, subprocess.Popen)
        assert files(proxy) == files(fresh)
        assert signals(proxy) == signals(fresh)


def test_its_end_is_told_however_it_ends(postgres15: Cluster) -> None:
    for number, ended in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)):
        with running_proxy(load_sample(postgres15).port) as proxy:
            assert proxy.process.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                proxy.process.wait(0.01)
            proxy.process.send_signal(number)
            assert proxy.process.wait(60) == ended
            assert proxy.process.poll() == ended
