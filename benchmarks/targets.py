"""The three ways to one PostgreSQL that a run compares: directly, through PgBouncer, through Partywall; each as a
process that can be measured.

Everything is started on free ports of 127.0.0.1 and ended by process id.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import schema
from proxy.demo.cluster import Cluster, free_port
from proxy.demo.cluster import running as running_cluster

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PASSWORD = "bench"
TENANT = 7
SETTINGS = {"shared_buffers": "512MB", "max_connections": "300", "max_wal_size": "4GB"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where pgbench connects; pid None where there is no process of its own to measure."""

    name: str
    port: int
    user: str
    database: str
    pid: int | None

    def cpu_seconds(self) -> tuple[float, float]:
        """(user, system) CPU seconds of the process so far, from /proc (proc(5))."""
        if self.pid is None:
            return 0.0, 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return int(fields[11]) / CLOCK_TICKS, int(fields[12]) / CLOCK_TICKS


@dataclass(frozen=True, slots=True)
class Bench:
    cluster: Cluster
    direct: Target
    bouncer: Target | None
    bouncer_session: Target | None
    partywall: Target
    admin_port: int


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    """Returns when something accepts on the port; raises when the process ended or time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port} after {seconds} s")


@contextmanager
def running(
    command: list[str], *, log: Path, user: int | None = None, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process, terminated at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, user=user, group=user, env=env)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def open_bench(tenants: int, accounts: int) -> Iterator[Bench]:
    """A loaded server and the proxies in front of it."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="partywall-bench-")))
        work.chmod(0o755)
        cluster = stack.enter_context(running_cluster(None, settings=SETTINGS))
        cluster.create_database("bench")
        cluster.psql("bench", schema.sql(tenants, accounts))
        cluster.psql("bench", "VACUUM ANALYZE")
        direct = Target("direct", cluster.port, "bench_app", "bench", None)
        partywall, admin_port = start_partywall(stack, work / "partywall", schema.rules(cluster.port, PASSWORD, TENANT))
        bouncers: list[Target | None] = [None, None]
        binary = bouncer_binary()
        if binary is not None:
            databases = f"bench = host=127.0.0.1 port={cluster.port} dbname=bench user=bench_app"
            for at, (mode, name) in enumerate((("transaction", "PgBouncer"), ("session", "PgBouncer (session)"))):
                bouncers[at] = start_bouncer(stack, work / f"pgbouncer-{mode}", binary, name, mode, databases)
        yield Bench(cluster, direct, bouncers[0], bouncers[1], partywall, admin_port)


def bouncer_binary() -> str | None:
    """PgBouncer, where it is installed."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


def start_bouncer(stack: ExitStack, folder: Path, binary: str, name: str, mode: str, databases: str) -> Target:
    """PgBouncer with these databases, in a folder of its own."""
    port = free_port()
    folder.mkdir()
    (folder / "users.txt").write_text('"bench_app" ""\n"bench_other" ""\n', encoding="utf-8")
    (folder / "pgbouncer.ini").write_text(
        f"""[databases]
{databases}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = {mode}
default_pool_size = {schema.SERVER_CONNECTIONS}
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
stats_period = 3600
""",
        encoding="utf-8",
    )
    user = 65534 if os.getuid() == 0 else None
    process = stack.enter_context(running([binary, str(folder / "pgbouncer.ini")], log=folder / "log", user=user))
    wait_for_port(port, process)
    return Target(name, port, "bench_app", "bench", process.pid)


def start_partywall(
    stack: ExitStack, folder: Path, rules: str, name: str = "Partywall", **settings: str
) -> tuple[Target, int]:
    """Partywall with these rules, in a folder of its own, and its admin port; `settings` are PARTYWALL_* values."""
    port, admin_port = free_port(), free_port()
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "bench.yaml").write_text(rules, encoding="utf-8")
    command = [sys.executable, "-m", "proxy", "serve", "--rules", str(folder / "rules")]
    command += ["--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin_port}"]
    env = {**os.environ, "PARTYWALL_STATE_DIRECTORY": str(folder / "state"), "PARTYWALL_LOG__LEVEL": "error"}
    env |= {f"PARTYWALL_{key.upper()}": value for key, value in settings.items()}
    process = stack.enter_context(running(command, log=folder / "log", env=env))
    try:
        wait_for_port(port, process)
    except RuntimeError:
        sys.stderr.write((folder / "log").read_text(encoding="utf-8"))
        raise
    return Target(name, port, "bench_app", "bench", process.pid), admin_port
