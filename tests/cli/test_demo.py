"""`partywall demo` says what went wrong in one line and with a status, never with a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

from proxy.demo import cluster
from tests.cli.conftest import Run


def test_the_options_are_explained_in_the_help(run: Run) -> None:
    told = run("demo", "--help")
    assert told.exit_code == 0
    assert "--once" in told.output
    assert "--keep" in told.output


def test_a_machine_without_postgresql_is_told_so_with_status_one() -> None:
    hidden = (
        "import sys; from pathlib import Path; import proxy.demo.cluster as cluster; "
        "cluster._candidates = lambda: iter(()); from proxy.cli import main; sys.argv = ['partywall', 'demo']; main()"
    )
    assert callable(cluster._candidates)
    done = subprocess.run(
        [sys.executable, "-c", hidden], capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ)
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "PostgreSQL" in done.stderr
    assert "Traceback" not in done.stderr
