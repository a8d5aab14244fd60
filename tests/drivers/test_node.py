"""node-postgres and postgres.js: the same script tells the same story through the proxy and on a private database."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy

SCRIPTS = Path(__file__).parent / "node"


def packages() -> Path:
    """A folder with what package-lock.json names; made once, in the environment beside pytest's cache.

    RuntimeError where Node.js and npm are missing: a driver that is not tried is not known to work.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise RuntimeError(f"{program} is missing. On Debian and Ubuntu: apt-get install nodejs npm")
    lock = (SCRIPTS / "package-lock.json").read_bytes()
    home = Path(sys.prefix) / "cache" / f"node-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (home / "node_modules").exists():
        making = home.with_name(f"{home.name}-{os.getpid()}")  # workers of one run do not wait for each other
        making.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SCRIPTS / name, making)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=making, check=True, capture_output=True, timeout=120)
        try:
            making.rename(home)
        except OSError:  # another worker was faster
            shutil.rmtree(making)
    return home / "node_modules"


@pytest.fixture(scope="session")
def node() -> Path:
    """Where the drivers lie."""
    return packages()


def story(node: Path, script: str, dsn: str) -> list[Any]:
    """What the script told, line by line."""
    environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(node)}
    done = subprocess.run(
        ["node", SCRIPTS / script, dsn], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1] == {"done": True}
    return lines[:-1]


@pytest.mark.parametrize(("login", "tenant"), [("acme_app", 1), ("globex_app", 2)])
@pytest.mark.parametrize("script", ["node_postgres.js", "postgres_js.js"])
def test_a_script_tells_the_same_story_as_on_a_private_database(
    node: Path, shared_server: Cluster, proxy: Proxy, script: str, login: str, tenant: int
) -> None:
    expected = story(node, script, shared_server.dsn("app", f"private{tenant}"))
    told = story(node, script, proxy.dsn(login))
    assert [line["step"] for line in told] == [line["step"] for line in expected]
    for seen, private in zip(told, expected, strict=True):
        assert seen == private
