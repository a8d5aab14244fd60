"""PgBouncer in front of a server, to show what a transaction pooler does that knows nothing of tenants."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.books import eventually, listens
from tests.kit.postgres import free_port

START_SECONDS = 60.0
RULES = """\
[databases]
{database} = host=127.0.0.1 port={server_port} user={role}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = 1
unix_socket_dir =
ignore_startup_parameters = search_path,options
logfile = {folder}/pgbouncer.log
"""


@contextmanager
def pooled(folder: Path, server_port: int, database: str, role: str) -> Iterator[int]:
    """The port of a PgBouncer that lends one server connection, of this role, by the transaction. RuntimeError when
    there is no such program, or when it does not start.
    """
    binary = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if binary is None:
        raise RuntimeError("pgbouncer is not installed; .ci/run installs it")
    port = free_port()
    rules = folder / "pgbouncer.ini"
    rules.write_text(
        RULES.format(database=database, server_port=server_port, role=role, port=port, folder=folder), "utf-8"
    )
    user = None
    if os.geteuid() == 0:  # it refuses to run as root
        user = 65534
        os.chown(folder, user, user)
        for one in (rules, folder, *folder.parents):
            if one.owner() == "root" and one.stat().st_mode & 0o055 != 0o055:
                one.chmod(one.stat().st_mode | 0o055)
    command = [binary, str(rules)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, user=user
    )
    try:
        _wait(process, port)
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=15)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    eventually(lambda: process.poll() is not None or listens(port), START_SECONDS)
    if process.poll() is not None:
        raise RuntimeError(process.stderr.read().decode() if process.stderr else "pgbouncer ended")
    if not listens(port):
        raise RuntimeError("pgbouncer does not listen")
