"""`partywall serve` starts whole or not at all; the command line beats the environment, which beats the file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.kit.postgres import Cluster, free_port
from tests.kit.proxy import running_proxy
from tests.kit.rules import write_sample_rules


def serve(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A start that fails by itself."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PARTYWALL_"))}
    return subprocess.run(
        [sys.executable, "-m", "proxy", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean | environment,
    )


def test_rules_that_do_not_load_keep_the_proxy_from_starting(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("tenant: acme\nkeyy: 1\n", encoding="utf-8")
    done = serve("--rules", str(tmp_path), "--listen", f"127.0.0.1:{free_port()}")
    assert done.returncode != 0
    assert "a.yaml:2" in done.stdout + done.stderr
    assert "keyy" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_there_keeps_the_proxy_from_starting(tmp_path: Path) -> None:
    write_sample_rules(tmp_path, free_port(), "shared")
    done = serve("--rules", str(tmp_path), "--listen", f"127.0.0.1:{free_port()}")
    assert done.returncode != 0
    assert "database" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_line_beats_the_environment(sample: str, postgres15: Cluster) -> None:
    assert sample
    with running_proxy(postgres15.port, LISTEN="127.0.0.1:1") as proxy, proxy.connect("acme_app") as client:
        assert client.simple("SELECT DISTINCT tenant_id FROM orders").rows == [(b"1",)]


def test_a_setting_that_does_not_exist_is_named(tmp_path: Path) -> None:
    file = tmp_path / "partywall.toml"
    file.write_text("listn = '127.0.0.1:6432'\n", encoding="utf-8")
    done = serve("--config", str(file))
    assert done.returncode != 0
    assert "PARTYWALL_LISTN" in done.stdout + done.stderr
