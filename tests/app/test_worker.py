"""A worker does as it was told or says why it cannot, and is nothing without a supervisor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from proxy.fleet.leash import Post
from proxy.settings import load_settings


def worker(sent: bytes) -> tuple[int, str]:
    """Its exit status and log, when this is what it is told; its supervisor stays until it has ended."""
    command = [sys.executable, "-m", "proxy.app.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stderr is not None
        child.stdin.write(sent)
        if sent:
            child.stdin.flush()
        else:
            child.stdin.close()
        log = child.stderr.read().decode()
        return child.wait(60), log


def test_without_a_supervisor_it_ends() -> None:
    assert worker(b"")[0] == 1


def test_rules_that_cannot_be_served_are_status_one_and_a_line_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("tenant: acme\nkeyy: 1\n", encoding="utf-8")
    settings = load_settings(None, {"rules": tmp_path, "state_directory": tmp_path, "workers": 2})
    status, log = worker(Post(settings.model_dump(), 1, 2, (), -1, ()).encode())
    assert status == 1
    assert '"worker": 1' in log
    assert "a.yaml:2" in log
    assert "Traceback" not in log
