"""Many tenants, few server connections: each of them logs in, some are busy at a time, and every row must be the
asker's.

`python -m tests.chaos.tenants --tenants 10000 --active 500 --connections 100` prints what each got and what it cost,
and ends with status 1 when anything went wrong; the tests run the same with fewer. First every tenant comes once and
asks once; then `active` of them ask one statement after the other for `seconds`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.auth.scram import SaltedPasswords, build_verifier
from proxy.server.memory import resident
from proxy.wire.backend import DataRow
from proxy.wire.frontend import Query
from proxy.wire.handshake import ServerHandshake
from tests.kit.books import Books, eventually
from tests.kit.postgres import Cluster, running
from tests.kit.proxy import Proxy, serving

PASSWORD = "many"
SALTED: SaltedPasswords = {}
AT_ONCE = 100  # log-ins under way
SQL = """
CREATE ROLE many_app LOGIN;
CREATE TABLE notes (tenant_id int NOT NULL, id int NOT NULL, body text, PRIMARY KEY (tenant_id, id));
INSERT INTO notes SELECT t, i, 'of ' || t FROM generate_series(1, {tenants}) t, generate_series(1, 5) i;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT SELECT ON notes TO many_app;
"""
RULES = """\
database: many
server: postgresql://many_app@127.0.0.1:{port}/many?sslmode=disable
tenant_column: tenant_id
pool_sharing: {sharing}
"""
TENANT = """\
---
tenant: t{key}
key: {key}
databases: [many]
logins: {{t{key}_app: {{verifier: "{verifier}"}}}}
"""
ASK = Query(b"SELECT tenant_id, body FROM notes").encode()


@dataclass(slots=True)
class Outcome:
    """What one run came to. Times in seconds, memory in bytes."""

    served: dict[int, int] = field(default_factory=dict)  # statements of each active tenant
    longest: float = 0.0  # that a statement took
    seconds: float = 0.0
    cpu: float = 0.0  # of the proxy, while the active ones asked
    log_ins: float = 0.0  # all of them
    memory: tuple[int, int] = (0, 0)  # of the proxy, before anybody came and after everybody had
    resets: float = 0.0
    opened: float = 0.0
    most: int = 0  # server connections at a time, as the server counts them
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = sorted(self.served.values())
        total = sum(counts)
        each = self.cpu / max(1, total) * 1e6
        return "\n".join(
            [
                f"{total} statements of {len(counts)} tenants in {self.seconds:.0f} s; {len(self.problems)} problems",
                f"the proxy's CPU for each: {each:.0f} µs",
                f"of a tenant: least {counts[0]}, median {statistics.median(counts):.0f}, most {counts[-1]}",
                f"the longest took {self.longest * 1000:.0f} ms",
                f"server connections: at most {self.most}; {self.opened:.0f} opened, {self.resets:.0f} handed on",
                f"memory: {self.memory[0] >> 20} MB before anybody came, {self.memory[1] >> 20} MB after everybody had",
                f"every tenant's first log-in and statement: {self.log_ins:.0f} s",
            ]
        )


class Client:
    """One tenant's client."""

    def __init__(self, key: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.key, self.reader, self.writer = key, reader, writer

    @classmethod
    async def connect(cls, port: int, key: int) -> Client:
        """One that has logged in."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        client = cls(key, reader, writer)
        nonce = base64.b64encode(os.urandom(18))
        handshake = ServerHandshake(f"t{key}_app", "many", {}, PASSWORD, nonce, cache=SALTED)
        writer.write(handshake.start())
        while not handshake.done:
            writer.writelines(handshake.receive(*await client.message()))
        return client

    async def message(self) -> tuple[int, bytes]:
        """The next one's type and body."""
        header = await self.reader.readexactly(5)
        return header[0], await self.reader.readexactly(int.from_bytes(header[1:], "big") - 4)

    async def ask(self) -> str | None:
        """Every row of the table, all of which must be the tenant's; what is wrong with them."""
        self.writer.write(ASK)
        rows: list[tuple[bytes | None, ...]] = []
        problem = None
        while True:
            tag, body = await self.message()
            if tag == ord("D"):
                rows.append(DataRow.decode(body).values)
            elif tag == ord("E"):
                problem = body.decode("utf-8", "replace")
            elif tag == ord("Z"):
                break
        mine = (str(self.key).encode(), f"of {self.key}".encode())
        if problem is None and rows != [mine] * 5:
            problem = f"tenant {self.key} was shown {rows}"
        return problem

    def close(self) -> None:
        """Goes."""
        self.writer.transport.abort()


def run(
    cluster: Cluster, work: Path, tenants: int, active: int, connections: int, seconds: float, sharing: str
) -> Outcome:
    """One run; `work` is empty."""
    cluster.create_database("many")
    cluster.psql("many", SQL.format(tenants=tenants))
    cluster.psql("many", "VACUUM ANALYZE notes")
    (work / "rules").mkdir()
    verifier = build_verifier(PASSWORD, b"salt of so many.")
    document = RULES.format(port=cluster.port, sharing=sharing)
    document += "".join([TENANT.format(key=key, verifier=verifier) for key in range(1, tenants + 1)])
    (work / "rules" / "many.yaml").write_text(document, encoding="utf-8")
    settings = {
        "MAX_SERVER_CONNECTIONS": str(connections),
        "MAX_CLIENT_CONNECTIONS": str(active + AT_ONCE + 10),
        "CONNECTION_RATE": "100000",
        "ADDRESS_CONNECTION_RATE": "100000",
    }
    with serving(work, "many", {}, **settings) as proxy:
        books = Books(proxy, cluster.dsn(database="many"), "many_app")
        outcome = asyncio.run(_play(proxy, books, tenants, active, seconds))
        if outcome.most > connections:
            outcome.problems.append(f"{outcome.most} server connections")
        eventually(lambda: not held(proxy), 20.0)
        outcome.problems += [f"left behind: {line}" for line in held(proxy)]
        outcome.problems += [line for line in proxy.log.splitlines() if '"level": "error"' in line]
    return outcome


async def _play(proxy: Proxy, books: Books, tenants: int, active: int, seconds: float) -> Outcome:
    outcome = Outcome()
    statm = Path(f"/proc/{proxy.process.pid}/statm")
    begun, before = time.monotonic(), resident(statm)
    turn = asyncio.Semaphore(AT_ONCE)

    async def visit(key: int) -> None:
        async with turn:
            client = await Client.connect(proxy.port, key)
            problem = await client.ask()
            client.close()
            if problem is not None:
                outcome.problems.append(problem)

    await asyncio.gather(*(visit(key) for key in range(1, tenants + 1)))
    outcome.log_ins, outcome.memory = time.monotonic() - begun, (before, resident(statm))
    step = max(1, tenants // active)
    clients = [await Client.connect(proxy.port, 1 + number * step % tenants) for number in range(active)]
    page = await asyncio.to_thread(metrics, proxy)
    cpu, begun = _cpu(proxy.process.pid), time.monotonic()
    until = begun + seconds

    async def play(client: Client) -> None:
        outcome.served[client.key] = 0
        while (now := time.monotonic()) < until:
            problem = await client.ask()
            outcome.longest = max(outcome.longest, time.monotonic() - now)
            outcome.served[client.key] += 1
            if problem is not None:
                outcome.problems.append(problem)

    async def count() -> None:
        while time.monotonic() < until:
            outcome.most = max(outcome.most, await asyncio.to_thread(books.server_count))
            await asyncio.sleep(1.0)

    await asyncio.gather(count(), *(play(client) for client in clients))
    outcome.seconds, outcome.cpu = time.monotonic() - begun, _cpu(proxy.process.pid) - cpu
    after = await asyncio.to_thread(metrics, proxy)
    outcome.resets = _counter(after, "resets") - _counter(page, "resets")
    outcome.opened = _counter(after, "opened") - _counter(page, "opened")
    for client in clients:
        client.close()
    outcome.problems += [f"tenant {key} was never served" for key, count in outcome.served.items() if not count]
    return outcome


def metrics(proxy: Proxy) -> str:
    """The page, which is long with so many tenants."""
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}/metrics", timeout=120) as answer:
        page: bytes = answer.read()
    return page.decode()


def held(proxy: Proxy) -> list[str]:
    """Leases and waits that are left."""
    states = ('state="leased"', 'state="waiting"')
    lines = [line for line in metrics(proxy).splitlines() if line.startswith("partywall_pool_connections{")]
    return [line for line in lines if not line.endswith(" 0.0") and any(state in line for state in states)]


def _counter(page: str, name: str) -> float:
    return float(
        next(line for line in page.splitlines() if line.startswith(f"partywall_server_{name}_total ")).split()[1]
    )


def _cpu(pid: int) -> float:
    """Seconds, of user and system."""
    times = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def gather(
    tenants: int, active: int, connections: int, seconds: float, sharing: str = "reset", major: int = 15
) -> Outcome:
    """A run on a server of its own."""
    more = {"max_connections": str(connections + 20)}
    with running(major, settings=more) as cluster, tempfile.TemporaryDirectory(prefix="partywall-many-") as folder:
        return run(cluster, Path(folder), tenants, active, connections, seconds, sharing)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.tenants", description=__doc__)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--active", type=int, default=500, help="tenants that ask at a time")
    parser.add_argument("--connections", type=int, default=100, help="server connections, of all tenants together")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--sharing", default="reset", choices=["reset", "never"])
    given = parser.parse_args(arguments)
    outcome = gather(given.tenants, given.active, given.connections, given.seconds, given.sharing)
    print(outcome)
    for problem in outcome.problems[:20]:
        print(f"  {problem}", file=sys.stderr)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
