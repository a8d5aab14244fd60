"""What an idle client costs: `python -m benchmarks.idle` opens many connections to one process and divides its growth.

Each client logs in, runs one statement, and stays. The proxy's resident size is read from /proc before and after; the
clients live in this process. One table row for each kind; `--output` rewrites the page.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import platform
import resource
import ssl
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import trustme

from benchmarks.targets import running, wait_for_port
from proxy.auth.scram import SaltedPasswords, build_verifier
from proxy.demo.cluster import free_port
from proxy.demo.cluster import running as running_cluster
from proxy.server.memory import resident
from proxy.wire.frontend import Query
from proxy.wire.handshake import ServerHandshake
from proxy.wire.startup import SSLRequest

RESULTS = Path(__file__).with_name("IDLE.md")
PASSWORD = "idle"
SALTED: SaltedPasswords = {}
AT_ONCE = 50
SPARE = 200  # file descriptors for everything but clients
SQL = """
CREATE ROLE idle_app LOGIN;
CREATE TABLE notes (tenant_id int NOT NULL, id int NOT NULL, body text, PRIMARY KEY (tenant_id, id));
INSERT INTO notes VALUES (1, 1, 'one');
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT SELECT ON notes TO idle_app;
"""
RULES = """\
database: idle
server: postgresql://idle_app@127.0.0.1:{port}/idle?sslmode=disable
tenant_column: tenant_id
---
tenant: acme
key: 1
databases: [idle]
quotas: {{connections: {clients}, server_connections: 5}}
logins:
  acme_app: {{verifier: "{verifier}"}}
"""


def main() -> None:
    """Measures, prints, and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--kinds", nargs="+", default=["plain", "TLS"], choices=["plain", "TLS"])
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = min(arguments.clients, most - SPARE)
    rows = [f"| {kind} | {clients} | {measure(clients, kind == 'TLS') / 1024:.1f} kB |" for kind in arguments.kinds]
    loop = "uvloop" if find_spec("uvloop") else "asyncio's own loop"
    page = [
        "# What an idle client costs",
        "",
        f"Written by `python -m benchmarks.idle` on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {loop}. Each client has"
        " logged in, run one statement and stays; the growth of the process's resident size, divided by their number.",
        "",
        "| kind | clients | memory of each |",
        "|---|---|---|",
        *rows,
    ]
    print("\n".join(page))
    if arguments.output is not None:
        arguments.output.write_text("\n".join(page) + "\n", encoding="utf-8")


def measure(clients: int, tls: bool, at_once: int = AT_ONCE) -> float:
    """Bytes of the proxy for each idle client; `at_once`: how many may be about to connect at a time."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, clients + SPARE), most))
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="partywall-idle-")))
        cluster = stack.enter_context(running_cluster(None))
        cluster.create_database("idle")
        cluster.psql("idle", SQL)
        (work / "rules").mkdir()
        verifier = build_verifier(PASSWORD, b"salt of the idle")
        rules = RULES.format(port=cluster.port, clients=2 * clients, verifier=verifier)
        (work / "rules" / "idle.yaml").write_text(rules, encoding="utf-8")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PARTYWALL_")},
            "PARTYWALL_STATE_DIRECTORY": str(work / "state"),
            "PARTYWALL_MAX_CLIENT_CONNECTIONS": str(2 * clients),
            "PARTYWALL_CONNECTION_RATE": "100000",
            "PARTYWALL_ADDRESS_CONNECTION_RATE": "100000",
        }
        context = None
        if tls:
            authority = trustme.CA()
            certificate = authority.issue_cert("127.0.0.1")
            certificate.private_key_pem.write_to_path(work / "key.pem")
            for part in certificate.cert_chain_pems:
                part.write_to_path(work / "chain.pem", append=True)
            environment["PARTYWALL_TLS_CERTIFICATE"] = str(work / "chain.pem")
            environment["PARTYWALL_TLS_KEY"] = str(work / "key.pem")
            context = ssl.create_default_context()
            authority.configure_trust(context)
        port = free_port()
        command = [sys.executable, "-m", "proxy", "serve", "--rules", str(work / "rules")]
        command += ["--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0"]
        process = stack.enter_context(running(command, log=work / "log", env=environment))
        try:
            wait_for_port(port, process)
            return asyncio.run(_growth(port, process.pid, clients, context, at_once))
        except Exception:
            sys.stderr.write((work / "log").read_text(encoding="utf-8")[-5000:])
            raise


async def _growth(port: int, pid: int, clients: int, context: ssl.SSLContext | None, at_once: int) -> float:
    turn = asyncio.Semaphore(at_once)
    held = []

    async def come() -> None:
        async with turn:
            held.append(await connect(port, context))

    await asyncio.gather(*(come() for _ in range(AT_ONCE)))  # what is made once is there now
    statm = Path(f"/proc/{pid}/statm")
    before = resident(statm)
    await asyncio.gather(*(come() for _ in range(clients)))
    after = resident(statm)
    for writer in held:
        writer.transport.abort()
    return (after - before) / clients


async def connect(port: int, context: ssl.SSLContext | None) -> asyncio.StreamWriter:
    """A client that has logged in and run one statement."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if context is not None:
        writer.write(SSLRequest().encode())
        if await reader.readexactly(1) != b"S":
            raise RuntimeError("no TLS")
        await writer.start_tls(context, server_hostname="127.0.0.1")
    settings = {"application_name": "a web application"}
    nonce = base64.b64encode(os.urandom(18))
    handshake = ServerHandshake("acme_app", "idle", settings, PASSWORD, nonce, cache=SALTED)
    writer.write(handshake.start())
    while not handshake.done:
        writer.writelines(handshake.receive(*await _message(reader)))
    writer.write(Query(b"SELECT body FROM notes").encode())
    tag, body = await _message(reader)
    while tag != ord("Z"):
        if tag == ord("E"):
            raise RuntimeError(body.decode("utf-8", "replace"))
        tag, body = await _message(reader)
    return writer


async def _message(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    header = await reader.readexactly(5)
    return header[0], await reader.readexactly(int.from_bytes(header[1:], "big") - 4)


if __name__ == "__main__":
    main()
