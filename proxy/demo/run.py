"""The demo: a PostgreSQL of its own, the sample shop, the proxy as a process of its own, and everything gone
afterwards.

The proxy runs as its users run it, by `serve` and rule files. What is printed can be copied: DSNs and statements to
try.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from proxy.demo.cluster import Cluster, PostgresError, find_binaries, free_port
from proxy.demo.sample import DATABASE, SERVER_ROLE, TRY, Login, dsn, make_logins, write_rules
from proxy.demo.tour import walk

PORT, ADMIN_PORT = 6432, 6433  # what `serve` takes by itself
START_SECONDS = 60.0
END_SECONDS = 15.0
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Print = Callable[[str], None]


class DemoFailed(Exception):
    """The proxy did not start, or ended by itself; the text says what it logged."""


def run(say: Print, *, once: bool, keep: bool) -> None:
    """Brings everything up; `once`: walks the tour, else waits for Ctrl-C, SIGTERM or SIGHUP. `keep` leaves the data
    directory. Whatever happens, everything is taken down. PostgresError, DemoFailed, tour.WallBroken, OSError.
    """
    before = {number: signal.signal(number, _end) for number in ENDINGS}
    try:
        _run(say, once=once, keep=keep)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(*_: object) -> None:
    """The first signal ends the demo like Ctrl-C; further ones do not disturb the end."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _run(say: Print, *, once: bool, keep: bool) -> None:
    say("starting PostgreSQL with a sample shop ...")
    password = secrets.token_urlsafe(18)
    cluster = Cluster(_binaries(), auth="scram-sha-256")
    try:
        _load(cluster.start(), password)
        with tempfile.TemporaryDirectory(prefix="partywall-demo-") as folder:
            rules = Path(folder) / "rules"
            rules.mkdir()
            logins = make_logins()
            write_rules(rules, cluster.port, password, logins)
            with _proxy(Path(folder), rules) as (port, admin_port, process):
                _tell(say, logins, port, admin_port, cluster)
                if once:
                    asyncio.run(walk(logins, port, say))
                    say("\nthe wall holds.")
                else:
                    with suppress(KeyboardInterrupt):
                        say("\nCtrl-C takes everything down.")  # who reads this may be quick
                        process.wait()
                        raise DemoFailed(f"the proxy ended with status {process.returncode}")
                    say("taking everything down ...")
    finally:
        if keep and cluster.directory != Path():
            cluster.stop("fast")
            say(f"the data directory stays: {cluster.data}")
        else:
            cluster.remove()


def _binaries() -> Path:
    """The embedded PostgreSQL where it is installed, else the newest local one."""
    try:
        return find_binaries(18)
    except PostgresError:
        return find_binaries()


def _load(cluster: Cluster, password: str) -> None:
    cluster.create_database(DATABASE)
    cluster.psql(DATABASE, file=Path(__file__).with_name("shop.sql"))
    cluster.psql(sql=f"ALTER ROLE {SERVER_ROLE} PASSWORD '{password}'")


@contextmanager
def _proxy(folder: Path, rules: Path) -> Iterator[tuple[int, int, subprocess.Popen[bytes]]]:
    port, admin_port = _port(PORT), _port(ADMIN_PORT)
    command = [sys.executable, "-m", "proxy", "serve", "--rules", str(rules)]
    command += ["--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin_port}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARTYWALL_")}
    environment["PARTYWALL_STATE_DIRECTORY"] = str(folder / "state")
    log = folder / "proxy.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=environment, start_new_session=True
        )
        try:
            _wait_for_port(process, port, log)
            yield port, admin_port, process
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port(wanted: int) -> int:
    """The port people expect where it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
    return wanted


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)  # a poll of another process, bounded by the deadline
        else:
            return
    raise DemoFailed(f"the proxy did not start:\n{log.read_text(encoding='utf-8', errors='replace')}")


def _tell(say: Print, logins: tuple[Login, ...], port: int, admin_port: int, cluster: Cluster) -> None:
    say(
        f"PostgreSQL {cluster.major} on port {cluster.port}; Partywall on port {port}; http://127.0.0.1:{admin_port}/metrics"
    )
    say("\nthe tenants' DSNs:")
    for login in logins:
        say(f'  psql "{dsn(login, port)}"')
    say("\ntry, as one and as another:")
    for why, statement in TRY:
        say(f"  {statement};   -- {why}")
