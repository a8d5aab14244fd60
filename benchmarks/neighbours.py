"""A thousand tenants with a schema each in one process: `python -m benchmarks.neighbours`.

All are in the rules; some are active: each has a session that reads its own tables. What the proxy takes in memory and
time is measured from outside, and so is how many connections it has at the server for looking at catalogs. Every answer
is compared with what is the tenant's. `--output` rewrites the page.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.pgbench import percentile
from benchmarks.targets import PASSWORD, running, wait_for_port
from proxy.auth.scram import build_verifier
from proxy.demo.cluster import free_port
from proxy.demo.cluster import running as running_cluster
from tests.kit.rawclient import RawClient

RESULTS = Path(__file__).with_name("NEIGHBOURS.md")
TABLES = 8  # of each tenant
CONNECTIONS = 60  # to the server
SQL = """
REVOKE ALL ON DATABASE street FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
DO $$ DECLARE name text; BEGIN FOR number IN 0..{last} LOOP
  name := 't' || number;
  EXECUTE format('CREATE ROLE %I LOGIN; GRANT CONNECT, TEMPORARY ON DATABASE street TO %1$I; CREATE SCHEMA %1$I;'
    ' GRANT USAGE, CREATE ON SCHEMA %1$I TO %1$I', name);
  FOR one IN 1..{tables} LOOP
    EXECUTE format('CREATE TABLE %I.table_%s (id int PRIMARY KEY, name text NOT NULL, made timestamptz DEFAULT now(),'
      ' amount numeric(12,2), note text); ALTER TABLE %1$I.table_%2$s OWNER TO %1$I', name, one);
  END LOOP;
  EXECUTE format('INSERT INTO %I.table_1 VALUES (1, %L)', name, name);
  COMMIT;
END LOOP; END $$;
"""
RULES = """database: street
server: postgresql://operator@127.0.0.1:{port}/street?sslmode=disable
isolation: schema
"""
TENANT = """---
tenant: t{number}
databases: [street]
schema: t{number}
server_login: t{number}
logins:
  t{number}_app: {{verifier: "{verifier}"}}
"""
WATCHING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'partywall catalog'"


def rules(port: int, tenants: int) -> str:
    """The rule file."""
    verifier = build_verifier(PASSWORD, b"partywall-bench!")
    return RULES.format(port=port) + "".join(TENANT.format(number=one, verifier=verifier) for one in range(tenants))


def resident(pid: int) -> float:
    """Megabytes of a process in memory."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024


def cpu(pid: int) -> float:
    """Seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def visit(port: int, number: int) -> tuple[RawClient, float]:
    """A tenant's session, and the milliseconds until its first answer. RuntimeError for an answer that is not its."""
    begun = time.monotonic()
    client = RawClient("127.0.0.1", port, f"t{number}_app", "street", PASSWORD)
    rows = client.simple("SELECT name FROM table_1").rows
    took = (time.monotonic() - begun) * 1000
    seen = client.simple("SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname ~ '^t[0-9]'").rows
    name = f"t{number}".encode()
    if rows != [(name,)] or seen != [(name,)]:
        raise RuntimeError(f"tenant t{number} saw {rows} and the schemas {seen}")
    return client, took


def measure(tenants: int, active: int) -> dict[str, float]:
    """Figures by name."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="partywall-neighbours-")))
        work.chmod(0o755)
        cluster = stack.enter_context(running_cluster(None))
        cluster.create_database("street")
        (work / "make.sql").write_text(SQL.format(last=tenants - 1, tables=TABLES), encoding="utf-8")
        cluster.psql("street", file=work / "make.sql")
        (work / "rules").mkdir()
        (work / "rules" / "street.yaml").write_text(rules(cluster.port, tenants), encoding="utf-8")
        port = free_port()
        command = [sys.executable, "-m", "proxy", "serve", "--rules", str(work / "rules")]
        command += ["--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0"]
        environment = {**os.environ, "PARTYWALL_STATE_DIRECTORY": str(work / "state")}
        environment["PARTYWALL_MAX_SERVER_CONNECTIONS"] = str(CONNECTIONS)
        begun = time.monotonic()
        proxy = stack.enter_context(running(command, log=work / "log", env=environment))
        wait_for_port(port, proxy, 600)
        found = {"ready": time.monotonic() - begun, "idle": resident(proxy.pid), "cpu_ready": cpu(proxy.pid)}
        first, again, clients = [], [], []
        for number in range(active):
            client, took = visit(port, number)
            clients.append(stack.enter_context(client))
            first.append(took)
        found["active"] = resident(proxy.pid)
        found["cpu_active"] = cpu(proxy.pid)
        found["watching"] = float(cluster.psql("postgres", WATCHING))
        for number in range(active):
            client, took = visit(port, number)
            client.close()
            again.append(took)
        for name, times in (("first", sorted(first)), ("again", sorted(again))):
            found[f"{name}_p50"], found[f"{name}_most"] = percentile(times, 0.5), times[-1]
        return found


def page(tenants: int, active: int, found: dict[str, float]) -> str:
    """The figures as Markdown."""
    each = (found["active"] - found["idle"]) * 1024 / active
    seconds = (found["cpu_active"] - found["cpu_ready"]) * 1000 / active
    lines = [
        f"# {tenants} tenants with a schema each in one process",
        "",
        f"Written by `python -m benchmarks.neighbours` on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}."
        f" Each has {TABLES} tables.",
        "",
        "| | |",
        "|---|---|",
        f"| until it listens | {found['ready']:.1f} s, of which {found['cpu_ready']:.1f} s of CPU |",
        f"| memory then, with {tenants} tenants in the rules | {found['idle']:.0f} MB |",
        f"| memory with {active} of them active | {found['active']:.0f} MB: {each:.0f} kB for each, its session and plans included |",
        f"| connections that look at catalogs | {found['watching']:.0f} |",
        f"| log-in and first answer of a tenant that nobody has used | p50 {found['first_p50']:.0f} ms, most {found['first_most']:.0f} ms;"
        f" {seconds:.0f} ms of the proxy's CPU |",
        f"| the same of one that somebody uses | p50 {found['again_p50']:.0f} ms, most {found['again_most']:.0f} ms |",
        "",
        "Each was asked for a row of its own and for the schemas that it sees, and saw nothing else.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measures, prints, and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbours", description=__doc__)
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--active", type=int, default=100)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    text = page(arguments.tenants, arguments.active, measure(arguments.tenants, arguments.active))
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
