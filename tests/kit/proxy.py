"""The whole proxy as its users run it: `partywall serve` as a process of its own in front of a real server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.fleet.channel import ask
from proxy.fleet.control import Answer, Request, Statistics
from tests.kit import forking
from tests.kit.postgres import free_port
from tests.kit.rawclient import RawClient
from tests.kit.rules import SEQUENCES, write_sample_rules

START_SECONDS = 120.0  # ten thousand tenants on a machine that has other work


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy. passwords: by login."""

    process: forking.Started
    port: int
    admin_port: int
    database: str
    passwords: dict[str, str]
    directory: Path

    def connect(self, login: str, **parameters: str) -> RawClient:
        """A raw client logged in as `login`."""
        return RawClient("127.0.0.1", self.port, login, self.database, self.passwords[login], **parameters)

    def dsn(self, login: str, scheme: str = "postgresql") -> str:
        """What an application would be given."""
        return f"{scheme}://{login}:{self.passwords[login]}@127.0.0.1:{self.port}/{self.database}"

    @property
    def log(self) -> str:
        return (self.directory / "proxy.log").read_text(encoding="utf-8", errors="replace")

    def metrics(self) -> str:
        """/metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def ask(self, request: Request) -> Answer:
        """Asks at its control door."""
        return asyncio.run(ask(str(self.directory / "state" / "control.sock"), request))

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`partywall` with these arguments, for this proxy's state directory."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PARTYWALL_"))}
        clean["PARTYWALL_STATE_DIRECTORY"] = str(self.directory / "state")
        return forking.run(arguments, clean | environment, 120)

    def worker(self, number: int) -> int:
        """The process id of a worker; 0 when it does not serve."""
        return int(self.ask(Statistics()).result["processes"][number]["pid"])

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def reload_whole(self) -> None:
        """Reloads, and waits until the log tells how it went. RuntimeError when the rules were refused."""
        if not self._reload():
            raise RuntimeError(self.log)

    def reload_refused(self) -> None:
        """Reloads, and waits until the log tells that it was refused. RuntimeError when it was not."""
        if self._reload():
            raise RuntimeError(self.log)

    def _reload(self) -> bool:
        told = len(self.log)
        self.reload()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            fresh = self.log[told:]
            if "rules loaded" in fresh or "rules refused" in fresh:
                return "rules loaded" in fresh
            time.sleep(0.02)  # a poll of a foreign process, bounded by the deadline
        raise RuntimeError(f"no reload after {START_SECONDS} s:\n{self.log}")

    def wait_refusing(self) -> None:
        """Waits until nothing listens for clients any more: a proxy that drains takes none."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except ConnectionRefusedError:
                return
            time.sleep(0.02)  # a poll of a foreign process, bounded by the deadline
        raise RuntimeError(f"the proxy still listens after {START_SECONDS} s:\n{self.log}")


@contextmanager
def running_proxy(
    server_port: int, database: str = "shared", sequences: str = SEQUENCES, rules: str | None = None, **settings: str
) -> Iterator[Proxy]:
    """Serves the sample rule set, or these rules; `settings` are PARTYWALL_* values. Ends the process by SIGTERM, at
    last by SIGKILL.
    """
    with tempfile.TemporaryDirectory(prefix="partywall-proxy-") as folder:
        directory = Path(folder)
        written = directory / "rules"
        written.mkdir()
        passwords = write_sample_rules(written, server_port, database, sequences)
        if rules is not None:
            (written / "sample.yaml").write_text(rules, encoding="utf-8")
        with serving(directory, database, passwords, **settings) as proxy:
            yield proxy


@contextmanager
def serving(directory: Path, database: str, passwords: dict[str, str], **settings: str) -> Iterator[Proxy]:
    """Serves the rules that stand in `directory`/rules, as running_proxy does."""
    with serving_at((free_port(), free_port()), directory, database, passwords, **settings) as proxy:
        yield proxy


@contextmanager
def serving_at(
    ports: tuple[int, int], directory: Path, database: str, passwords: dict[str, str], **settings: str
) -> Iterator[Proxy]:
    """The same at these ports, for clients and for admins."""
    port, admin_port = ports
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PARTYWALL_"))}
    environment |= {f"PARTYWALL_{name}": value for name, value in settings.items()}
    environment["PARTYWALL_STATE_DIRECTORY"] = str(directory / "state")
    command = ["serve", "--rules", str(directory / "rules")]
    command += ["--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin_port}"]
    with (directory / "proxy.log").open("wb") as log:
        process = forking.start(command, environment, log.fileno(), log.fileno())
        proxy = Proxy(process, port, admin_port, database, passwords, directory)
        try:
            _wait(proxy)
            yield proxy
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(proxy: Proxy) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if proxy.process.poll() is not None:
            raise RuntimeError(f"the proxy ended with status {proxy.process.returncode}:\n{proxy.log}")
        try:
            socket.create_connection(("127.0.0.1", proxy.port), 1).close()
            return
        except OSError:
            time.sleep(0.02)  # a poll of a foreign process, bounded by the deadline
    raise RuntimeError(f"the proxy does not listen after {START_SECONDS} s:\n{proxy.log}")
