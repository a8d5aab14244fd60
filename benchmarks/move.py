"""A tenant moves to another server under its own load: `python -m benchmarks.move --size 1GB` prints how long it waited.

Two servers, a proxy before the first, and the command as people run it. Meanwhile the tenant writes and reads at a fixed
rate through the proxy, and counts what it was told is committed; at the end that is compared with what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from proxy.auth.scram import build_verifier
from proxy.demo.cluster import SUPERUSER, Cluster, free_port
from proxy.demo.cluster import running as running_cluster

ROW = 1000  # bytes, about
UNITS = {"MB": 10**6, "GB": 10**9}
PASSWORD = "move"  # of a server that is gone afterwards
CLIENTS = 4
RATE = 200  # statements a second, of all clients
MAX_PAUSE = 10
SETTINGS = {"max_wal_size": "2GB", "shared_buffers": "256MB"}
SCHEMA = """
CREATE ROLE app LOGIN;
CREATE TABLE entries (tenant_id int NOT NULL, id bigint NOT NULL, body text NOT NULL, turn int NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, id));
CREATE TABLE remarks (tenant_id int NOT NULL, id bigint NOT NULL, entry bigint NOT NULL, PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, entry) REFERENCES entries);
GRANT SELECT, INSERT, UPDATE, DELETE ON entries, remarks TO app;
"""
FILL = """
INSERT INTO entries SELECT {tenant}, n, repeat(md5(n::text), {times}) FROM generate_series(1, {rows}) n;
ANALYZE entries
"""
RULES = """
database: shop
server: postgresql://app@127.0.0.1:{port}/postgres?sslmode=disable
isolation: row
tenant_column: tenant_id
---
tenant: acme
key: 1
databases: [shop]
---
tenant: globex
key: 2
databases: [shop]
logins:
  globex_app: {{verifier: "{verifier}"}}
"""


@dataclass(slots=True)
class Load:
    """What the tenant did, was told, and how long each statement took."""

    dsn: str
    rows: int
    stop: threading.Event = field(default_factory=threading.Event)
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    added: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)

    def work(self, number: int) -> None:
        """One client: a third reads, a third updates, a third inserts, each when it is due."""
        spacing, turn = CLIENTS / RATE, 0
        try:
            with psycopg.connect(self.dsn, autocommit=True, prepare_threshold=1) as client:
                due = time.monotonic()
                while not self.stop.wait(max(0.0, due - time.monotonic())):
                    turn += 1
                    key = 1 + (turn * 7919 + number) % self.rows
                    new = number * 10_000_000 + turn
                    begun = time.monotonic()
                    if turn % 3 == 0:
                        client.execute("SELECT body FROM entries WHERE id = %s", [key])
                    elif turn % 3 == 1:
                        client.execute("UPDATE entries SET turn = turn + 1 WHERE id = %s", [key])
                        self.turns.append(key)
                    else:
                        client.execute("INSERT INTO remarks (id, entry) VALUES (%s, %s)", [new, key])
                        self.added.append(new)
                    self.seconds.append(time.monotonic() - begun)
                    due = max(due + spacing, time.monotonic() - 1)
        except psycopg.Error as error:
            self.errors.append(str(error))


def measured(size: int) -> dict[str, object]:
    """One move of a tenant of so many bytes."""
    rows = max(1000, size // ROW)
    with ExitStack() as stack:
        first, second = (stack.enter_context(running_cluster(settings=SETTINGS)) for _ in range(2))
        for cluster in (first, second):
            cluster.psql("postgres", SCHEMA)
        for tenant, count in ((1, 1000), (2, rows)):
            first.psql("postgres", FILL.format(tenant=tenant, rows=count, times=ROW // 32))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="partywall-move-")))
        dsn, environment = served(stack, directory, first)
        load = Load(dsn, rows)
        clients = [threading.Thread(target=load.work, args=[number]) for number in range(1, CLIENTS + 1)]
        for one in clients:
            one.start()
        stack.callback(load.stop.set)
        begun = time.monotonic()
        at = f"postgresql://{SUPERUSER}@127.0.0.1:{{}}/postgres?sslmode=disable"
        command = [sys.executable, "-m", "proxy", "move", "--tenant", "globex", "--database", "shop", "--json"]
        command += ["--to", f"postgresql://app@127.0.0.1:{second.port}/postgres?sslmode=disable"]
        command += ["--server", at.format(first.port), "--to-server", at.format(second.port)]
        command += ["--rules", str(directory / "rules"), "--max-pause", str(MAX_PAUSE)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
        took = time.monotonic() - begun
        load.stop.set()
        for one in clients:
            one.join()
        told = json.loads(done.stdout)
        return {
            "size": size,
            "rows": told["copied"],
            "changes": told["followed"],
            "seconds": round(took, 1),
            "pause": round(told["pause"], 2),
            "slowest": round(max(load.seconds), 2),
            "statements": len(load.seconds),
            "rate": round(len(load.seconds) / took),
            "errors": load.errors,
            "lost_or_doubled": wrong(second, load),
        }


def served(stack: ExitStack, directory: Path, server: Cluster) -> tuple[str, dict[str, str]]:
    """A proxy; the tenant's DSN, and the environment of its commands."""
    (directory / "rules").mkdir()
    verifier = build_verifier(PASSWORD, b"0123456789abcdef", 4096)
    (directory / "rules" / "rules.yaml").write_text(RULES.format(port=server.port, verifier=verifier), "utf-8")
    port, admin = free_port(), free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PARTYWALL_"))}
    environment = clean | {"PARTYWALL_STATE_DIRECTORY": str(directory / "state")}
    command = [sys.executable, "-m", "proxy", "serve", "--rules", str(directory / "rules")]
    command += ["--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}"]
    log = stack.enter_context((directory / "log").open("wb"))
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    dsn = f"postgresql://globex_app:{PASSWORD}@127.0.0.1:{port}/shop?sslmode=disable"
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(dsn).close()
            return dsn, environment
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def wrong(server: Cluster, load: Load) -> int:
    """Rows that are not as the tenant was told."""
    with psycopg.connect(server.dsn(database="postgres")) as connection:
        there = [row[0] for row in connection.execute("SELECT id FROM remarks WHERE tenant_id = 2")]
        turns = connection.execute("SELECT sum(turn) FROM entries WHERE tenant_id = 2").fetchone()
    assert turns is not None
    return len(set(there) ^ set(load.added)) + len(there) - len(set(there)) + abs(turns[0] - len(load.turns))


def page(found: dict[str, object]) -> str:
    """The table."""
    names = {
        "size": "bytes of the tenant, about",
        "rows": "rows copied",
        "changes": "keys followed",
        "seconds": "seconds in all",
        "pause": "seconds of the pause",
        "slowest": "seconds of the slowest statement of the tenant",
        "rate": "its statements a second",
        "statements": "of these in all",
    }
    lines = [f"| {text} | {found[name]} |" for name, text in names.items()]
    errors = found["errors"]
    lines += [
        f"| errors that it was told | {len(errors) if isinstance(errors, list) else 0} |",
        f"| rows lost or doubled | {found['lost_or_doubled']} |",
    ]
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    return (
        "# A move under load\n\n`python -m benchmarks.move` wrote this page. Both servers, the proxy, the load and the"
        f" command were on one machine, {os.cpu_count()} processors, {platform.system()}, on {when}.\n"
        "From shared tables into shared tables of another server; moves into other modes are not measured.\n\n"
        "| | |\n| --- | --- |\n" + "\n".join(lines) + "\n"
    )


def main() -> None:
    """Measures, prints, and writes a page where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="100MB", help="of the tenant, such as 1GB")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found = measured(int(float(given.size[:-2]) * UNITS[given.size[-2:]]))
    print(json.dumps(found, indent=2))
    if given.output is not None:
        given.output.write_text(page(found), "utf-8")


if __name__ == "__main__":
    main()
