"""`make bench`: everything, written to benchmarks/RESULTS.md; `python -m benchmarks --help` for a smaller run."""

from __future__ import annotations

import argparse
import asyncio
import urllib.request
from pathlib import Path

from benchmarks import copy, framing, pgbench, planning, quotas, relay, report
from benchmarks.targets import Bench, open_bench
from proxy.catalog.connect import connect
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.tenancy.policy import Credentials, Policy, Server

RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    """Parses the command line, runs, writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--seconds", type=float, default=5, help="per pgbench process")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved repetitions; the table holds medians")
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--accounts", type=int, default=100_000, help="rows of pgbench_accounts for each tenant")
    parser.add_argument("--scripts", nargs="+", default=list(pgbench.SCRIPTS), choices=list(pgbench.SCRIPTS))
    parser.add_argument("--modes", nargs="+", default=list(pgbench.MODES), choices=pgbench.MODES)
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 8, 50])
    parser.add_argument("--megabytes", type=int, default=100, help="of each COPY")
    parser.add_argument("--relay-megabytes", type=int, default=200, help="of each relayed result; 1000 is 1 GB")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with open_bench(arguments.tenants, arguments.accounts) as bench:
        rows = pgbench.run(
            bench,
            scripts=arguments.scripts,
            modes=arguments.modes,
            clients=arguments.clients,
            seconds=arguments.seconds,
            rounds=arguments.rounds,
            accounts=arguments.accounts,
        )
        rewritten = share_rewritten(bench)
        flows = relay.measure(bench, arguments.relay_megabytes)
        speeds = copy.scanners() + copy.measure(bench, arguments.megabytes)
        costs = planning.costs(*asyncio.run(look(bench))) + framing.costs() + quotas.costs()
    missing = "" if bench.bouncer is not None else " PgBouncer was not found: its rows are missing."
    setting = (
        f"{arguments.tenants} tenants with {arguments.accounts} accounts each, rows interleaved; {arguments.seconds:g} s a measurement,"
        f" medians of {arguments.rounds} rounds.{missing}"
    )
    page = report.render(rows, costs, flows, speeds, rewritten, setting)
    arguments.output.write_text(page, encoding="utf-8")
    print(page)


def share_rewritten(bench: Bench) -> float:
    """What /metrics says: rewritten statements among all that were forwarded, transaction control left out."""
    with urllib.request.urlopen(f"http://127.0.0.1:{bench.admin_port}/metrics") as answer:
        page = answer.read().decode()
    total = rewritten = 0.0
    for line in page.splitlines():
        if line.startswith("partywall_statements_total{") and 'kind="transaction"' not in line:
            total += float(line.rsplit(" ", 1)[1])
        elif line.startswith("partywall_statements_rewritten_total{"):
            rewritten += float(line.rsplit(" ", 1)[1])
    return rewritten / total if total else 0.0


async def look(bench: Bench) -> tuple[Catalog, Policy]:
    """The bench database's catalog and the policy that its rule file means."""
    connection = await connect(
        Server("127.0.0.1", bench.cluster.port, "bench", "bench_app"), Credentials(tls="disable")
    )
    try:
        catalog = await introspect(connection, 1)
    finally:
        await connection.close()
    return catalog, Policy("bench", "row", "tenant_id", {}, policy_class="bench")


if __name__ == "__main__":
    main()
