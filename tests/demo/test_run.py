"""The demo: its own server, tenants and proxy; the tour shows the wall, twice in a row, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys


def test_the_tour_shows_the_wall_twice_in_a_row() -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "proxy", "demo", "--once"], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the wall holds" in done.stdout.lower(), done.stdout
        assert "Traceback" not in done.stderr
