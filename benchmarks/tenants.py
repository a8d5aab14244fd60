"""Ten thousand tenants: `python -m benchmarks.tenants` loads their rules, and reloads them under a steady client.

Loading is measured in CPU seconds, from one file and from a file for each tenant. For reloads pgbench sends point
selects at a fixed rate while SIGHUPs come; its own log tells each latency, counted from when it should have begun.
`--output` rewrites the page.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from benchmarks.pgbench import percentile
from benchmarks.targets import PASSWORD, running, wait_for_port
from proxy.auth.scram import build_verifier
from proxy.demo.cluster import free_port
from proxy.demo.cluster import running as running_cluster
from proxy.tenancy.load import load

RESULTS = Path(__file__).with_name("TENANTS.md")
SQL = """
CREATE ROLE many_app LOGIN;
CREATE TABLE notes (tenant_id int NOT NULL, id int NOT NULL, body text, PRIMARY KEY (tenant_id, id));
INSERT INTO notes SELECT 0, g, 'a note' FROM generate_series(1, 1000) g;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT SELECT ON notes TO many_app;
"""
SCRIPT = "\\set id random(1, 1000)\nSELECT body FROM notes WHERE id = :id;\n"
DATABASE = """database: many
server: postgresql://many_app@127.0.0.1:{port}/many?sslmode=disable
tenant_column: tenant_id
---
defaults:
  quotas: {{connections: 50, statement_timeout: 30s}}
"""
TENANT = """tenant: t{number}
key: {number}
databases: [many]
logins:
  t{number}_app: {{verifier: "{verifier}"}}
quotas: {{connections: 20, server_connections: {connections}}}
"""
CLIENTS, RATE = 8, 400
PAUSE = 1.0  # seconds between two reloads


def documents(tenants: int, connections: int = 8) -> list[str]:
    """A document for each tenant; the first has the password of the benches, the others one of nobody."""

    def noise(text: str, size: int) -> str:
        return base64.b64encode(hashlib.sha512(text.encode()).digest()[:size]).decode()

    found = []
    for number in range(tenants):
        verifier = build_verifier(PASSWORD, b"partywall-bench!") if number == 0 else ""
        made = f"SCRAM-SHA-256$4096:{noise(f'{number}s', 16)}${noise(f'{number}a', 32)}:{noise(f'{number}b', 32)}"
        found.append(TENANT.format(number=number, verifier=verifier or made, connections=connections))
    return found


def write_one(folder: Path, port: int, many: list[str]) -> None:
    """The rules in two files; the second appears whole."""
    folder.mkdir(exist_ok=True)
    (folder / "database.yaml").write_text(DATABASE.format(port=port), encoding="utf-8")
    fresh = folder / "tenants.new"
    fresh.write_text("---\n".join(many), encoding="utf-8")
    fresh.rename(folder / "tenants.yaml")


def load_seconds(tenants: int) -> tuple[float, float]:
    """CPU seconds to load them from one file, and from a file for each; the better of two."""
    many = documents(tenants)
    with tempfile.TemporaryDirectory(prefix="partywall-tenants-") as name:
        one, each = Path(name) / "one", Path(name) / "each"
        write_one(one, 5432, many)
        write_one(each, 5432, many[:1])
        for number, text in enumerate(many[1:]):
            (each / f"{number}.yaml").write_text(text, encoding="utf-8")
        found = []
        for folder in (one, each):
            times = []
            for _ in range(2):
                begun = time.process_time()
                book = load(folder, {}, 1)
                times.append(time.process_time() - begun)
                if len(book.tenants) != tenants:
                    raise RuntimeError("not all tenants were loaded")
            found.append(min(times))
    return found[0], found[1]


def reload_latencies(tenants: int, reloads: int) -> dict[str, list[float]]:
    """Sorted latencies in milliseconds: `without` a reload, `same` and `changed`: while one runs that finds all tenants
    as they were, or each with another quota.
    """
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="partywall-tenants-")))
        work.chmod(0o755)
        cluster = stack.enter_context(running_cluster(None))
        cluster.create_database("many")
        cluster.psql("many", SQL)
        versions = [documents(tenants), documents(tenants, 9)]
        write_one(work / "rules", cluster.port, versions[0])
        port = free_port()
        command = [sys.executable, "-m", "proxy", "serve", "--rules", str(work / "rules")]
        command += ["--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0"]
        environment = {**os.environ, "PARTYWALL_STATE_DIRECTORY": str(work / "state")}
        proxy = stack.enter_context(running(command, log=work / "log", env=environment))
        wait_for_port(port, proxy, 120)
        (work / "script.sql").write_text(SCRIPT, encoding="utf-8")
        client = [str(cluster.binaries / "pgbench"), "-n", "-h", "127.0.0.1", "-p", str(port), "-U", "t0_app", "-c"]
        client += [str(CLIENTS), "-T", "3600", "-R", str(RATE), "-f", str(work / "script.sql"), "-l"]
        client += [f"--log-prefix={work}/latency", "many"]
        pgbench = subprocess.Popen(
            client, env={**os.environ, "PGPASSWORD": PASSWORD}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        windows: list[tuple[str, float, float]] = []
        try:
            time.sleep(3 * PAUSE)
            for number in range(reloads):
                changed = number % 2 == 1
                if changed:
                    write_one(work / "rules", cluster.port, versions[number // 2 % 2 ^ 1])
                begun = time.time()
                _reload(proxy, work / "log")
                windows.append(("changed" if changed else "same", begun, time.time()))
                time.sleep(PAUSE)
        finally:
            pgbench.terminate()
            pgbench.wait(30)
        return _sorted(work, windows)


def _reload(proxy: subprocess.Popen[bytes], log: Path) -> None:
    told = log.stat().st_size
    proxy.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 120
    while b"rules loaded" not in log.read_bytes()[told:]:
        if time.monotonic() > deadline or b"rules refused" in log.read_bytes()[told:]:
            raise RuntimeError(log.read_text(encoding="utf-8")[-5000:])
        time.sleep(0.02)


def _sorted(work: Path, windows: list[tuple[str, float, float]]) -> dict[str, list[float]]:
    """What pgbench logged, by what happened when it ended."""
    found: dict[str, list[float]] = {"without": [], "same": [], "changed": []}
    for log in work.glob("latency.*"):
        for line in log.read_text(encoding="ascii").splitlines()[:-1]:  # pgbench was stopped in the last one
            _, _, took, _, seconds, microseconds, *_ = line.split()
            ended = int(seconds) + int(microseconds) / 1e6
            begun = ended - int(took) / 1e6
            kind = next((kind for kind, first, last in windows if begun <= last + 0.2 and ended >= first), "without")
            found[kind].append(int(took) / 1000)
    return {kind: sorted(times) for kind, times in found.items()}


def page(tenants: int, seconds: tuple[float, float], latencies: dict[str, list[float]]) -> str:
    """The figures as Markdown."""
    loop = "uvloop" if find_spec("uvloop") else "asyncio's own loop"
    names = {"without": "no reload", "same": "reload, nothing changed", "changed": "reload, every tenant changed"}
    lines = [
        f"# {tenants} tenants in one process",
        "",
        f"Written by `python -m benchmarks.tenants` on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {loop}.",
        "",
        "| the rules, a login for each tenant | CPU seconds to load |",
        "|---|---|",
        f"| in one file | {seconds[0]:.2f} |",
        f"| in a file for each tenant | {seconds[1]:.2f} |",
        "",
        f"Point selects of one tenant by {CLIENTS} clients, {RATE} in a second, while the rules are reloaded; latencies in milliseconds,"
        " from when the statement should have been sent.",
        "",
        "| | statements | p50 | p99 | p99.9 | most |",
        "|---|---|---|---|---|---|",
    ]
    for kind, times in latencies.items():
        shares = " | ".join(f"{percentile(times, share):.2f}" for share in (0.5, 0.99, 0.999))
        lines.append(f"| {names[kind]} | {len(times)} | {shares} | {times[-1]:.2f} |")
    normal = percentile(latencies["without"], 0.999)
    above = [f"{percentile(latencies[kind], 0.999) - normal:+.1f} ms ({names[kind]})" for kind in ("same", "changed")]
    return "\n".join([*lines, "", f"p99.9 against that without a reload: {', '.join(above)}.", ""])


def main() -> None:
    """Measures, prints, and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tenants", description=__doc__)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--reloads", type=int, default=8)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    text = page(
        arguments.tenants, load_seconds(arguments.tenants), reload_latencies(arguments.tenants, arguments.reloads)
    )
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
