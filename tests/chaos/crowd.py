"""A crowd on few server connections: pgbench of every kind at once; nothing may fail, wait in vain or be left behind.

`python -m tests.chaos.crowd --clients 1000 --connections 20 --seconds 120` prints what ran and ends with status 1 when
anything went wrong; the tests run the same with fewer. Prepared statements get a thread for each client, because
pgbench waits for the answer to Parse, and while one client of a thread waits so for a server connection, those of its
thread that have one stand still.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import schema
from proxy.auth.scram import build_verifier
from tests.kit.books import Books
from tests.kit.postgres import Cluster, running
from tests.kit.proxy import Proxy, serving

ACCOUNTS = 1000
PASSWORD = "crowd"
TENANTS = (7, 8)
RULES = """\
database: bench
server: postgresql://bench_app@127.0.0.1:{port}/bench?sslmode=disable
tenant_column: tenant_id
"""
TENANT = """\
---
tenant: t{key}
key: {key}
databases: [bench]
logins: {{bench_{key}: {{verifier: "{verifier}"}}}}
quotas: {{connections: {clients}, server_connections: {connections}, query_wait_timeout: {patience}s}}
"""
MIX = ((schema.SELECT_ONLY, 8), (schema.TPCB_LIKE, 2))
# Mode of the extended protocol, share of the clients, and whether each has a thread.
KINDS = (("simple", 0.45, False), ("extended", 0.45, False), ("prepared", 0.1, True))
DONE = re.compile(r"number of transactions actually processed: (\d+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to."""

    transactions: int
    problems: tuple[str, ...]


def run(cluster: Cluster, work: Path, clients: int, connections: int, seconds: int) -> Outcome:
    """`clients` of two tenants on `connections` server connections together, for `seconds`; `work` is empty."""
    cluster.create_database("bench")
    cluster.psql("bench", schema.sql(len(TENANTS) + TENANTS[0], ACCOUNTS))
    (work / "rules").mkdir()
    verifier = build_verifier(PASSWORD, b"salt of a crowd.")
    quotas = {"clients": clients, "connections": connections, "patience": max(120, seconds)}
    tenants = [TENANT.format(key=key, verifier=verifier, **quotas) for key in TENANTS]
    document = "".join([RULES.format(port=cluster.port), *tenants])
    (work / "rules" / "crowd.yaml").write_text(document, encoding="utf-8")
    settings = {"MAX_CLIENT_CONNECTIONS": str(2 * clients), "MAX_SERVER_CONNECTIONS": str(connections)}
    with serving(work, "bench", {f"bench_{key}": PASSWORD for key in TENANTS}, **settings) as proxy:
        transactions, problems = _play(cluster, proxy, work, clients, seconds)
        books = Books(proxy, cluster.dsn(database="bench"), "bench_app")
        try:
            books.settled("the crowd")
            if books.clients():
                problems.append(f"{books.clients()} clients are left")
        except AssertionError as problem:
            problems.append(str(problem))
        problems += [line for line in proxy.log.splitlines() if '"level": "error"' in line]
    return Outcome(transactions, tuple(problems))


def _play(cluster: Cluster, proxy: Proxy, work: Path, clients: int, seconds: int) -> tuple[int, list[str]]:
    files: list[str] = []
    for number, (text, weight) in enumerate(MIX):
        (work / f"{number}.sql").write_text(schema.script(text, ACCOUNTS, None), encoding="utf-8")
        files += ["-f", f"{work / str(number)}.sql@{weight}"]
    started = []
    for login in (f"bench_{key}" for key in TENANTS):
        for mode, share, threads in KINDS:
            count = max(1, int(clients * share / len(TENANTS)))
            command = [str(cluster.binaries / "pgbench"), "-n", "-h", "127.0.0.1", "-p", str(proxy.port), "-U", login]
            command += ["-M", mode, "-c", str(count), "-j", str(count if threads else 1), "-T", str(seconds), *files]
            process = subprocess.Popen(
                [*command, "bench"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PGPASSWORD": PASSWORD},
            )
            started.append((f"{login} {mode} x {count}", process))
    transactions, problems = 0, []
    for name, process in started:
        out, err = process.communicate()
        found = DONE.search(out)
        transactions += int(found.group(1)) if found else 0
        noise = [line for line in err.splitlines() if not line.startswith("pgbench (")]
        if process.returncode or found is None or noise:
            problems.append(f"{name}: status {process.returncode}: {' | '.join(noise[:5])}")
    return transactions, problems


def gather(clients: int, connections: int, seconds: int, major: int = 15) -> Outcome:
    """A run on a server of its own."""
    with running(major) as cluster, tempfile.TemporaryDirectory(prefix="partywall-crowd-") as folder:
        return run(cluster, Path(folder), clients, connections, seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.crowd", description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=20, help="server connections, of all tenants together")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--major", type=int, default=15, help="of PostgreSQL")
    given = parser.parse_args(arguments)
    outcome = gather(given.clients, given.connections, given.seconds, given.major)
    print(f"{given.clients} clients on {given.connections} server connections for {given.seconds} s:", end=" ")
    print(f"{outcome.transactions} transactions, {len(outcome.problems)} problems")
    for problem in outcome.problems:
        print(problem)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
