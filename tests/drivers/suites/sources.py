"""Where the suites come from: sources pinned by hash, kept in a folder of this user's.

asyncpg's tests are in its source distribution, which pip gets from whatever index it is configured for; psycopg's only
in its repository, which git gets by the commit's own name. Both are the hashes that are checked.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.kit.majors import unpack

ASYNCPG = "asyncpg==0.32.0"
ASYNCPG_HASH = "sha256:45e64e56714d888330b884aad1dfb363d0bf43fb343e3d1a8968525f3bade478"
PSYCOPG = "https://github.com/psycopg/psycopg"
PSYCOPG_COMMIT = "83f110367cdd249cc0a352e2246ecea9e878e5a0"  # 3.3.4


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite. version: of its tests; folder: what is run, with tests/ in it; options: pytest's, for this suite."""

    name: str
    version: str
    folder: Path
    options: tuple[str, ...]


def asyncpg(cache: Path) -> Suite:
    """asyncpg's tests without its sources: what is tried is the driver that is installed."""
    folder = cache / "asyncpg"
    if not folder.exists():
        wanted = cache / "asyncpg.txt"
        wanted.write_text(f"{ASYNCPG} --hash={ASYNCPG_HASH}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        command += ["--no-build-isolation", "--require-hashes", "--dest", str(cache), "--requirement", str(wanted)]
        subprocess.run(command, check=True)
        unpack(cache / f"{ASYNCPG.replace('==', '-')}.tar.gz", cache / "unpacked")
        folder.mkdir()
        shutil.move(cache / "unpacked" / ASYNCPG.replace("==", "-") / "tests", folder / "tests")
    # test__sourcecode and test__environment look at asyncpg's sources, and not at a server
    ignored = ("--ignore=tests/test__sourcecode.py", "--ignore=tests/test__environment.py")
    return Suite("asyncpg", ASYNCPG.partition("==")[2], folder, ("-p", "no:anyio", *ignored))


def psycopg(cache: Path) -> Suite:
    """psycopg's tests; its pool, its checks by mypy, and CockroachDB's part are left out, and what takes long."""
    folder = cache / "psycopg"
    if not folder.exists():
        repository = cache / "psycopg.git"
        subprocess.run(["git", "init", "--quiet", "--bare", str(repository)], check=True)
        git = ["git", "-C", str(repository)]
        subprocess.run([*git, "fetch", "--quiet", "--depth", "1", PSYCOPG, PSYCOPG_COMMIT], check=True)
        packed = cache / "psycopg.tar"
        subprocess.run([*git, "archive", f"--output={packed}", PSYCOPG_COMMIT, "tests", "pyproject.toml"], check=True)
        unpack(packed, folder)
    ignored = ("pool", "crdb", "scripts", "test_typing.py", "test_module.py", "test_gevent.py")
    options = ["-p", "no:asyncio", "-m", "not slow and not timing and not gevent and not subprocess and not dns"]
    return Suite("psycopg", "3.3.4", folder, (*options, *(f"--ignore=tests/{one}" for one in ignored)))
