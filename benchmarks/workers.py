"""One worker and two, side by side: `python -m benchmarks.workers` sends pgbench's point selects through each in turn.

What counts is the ratio of each pair, which the machine's drift meets alike, and the CPU that a transaction costs in all
processes of the proxy: workers share what there is, they make nothing cheaper. `--output` rewrites the page.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import schema
from benchmarks.targets import CLOCK_TICKS, PASSWORD, SETTINGS, TENANT, Target, start_partywall
from proxy.demo.cluster import Cluster
from proxy.demo.cluster import running as running_cluster

RESULTS = Path(__file__).with_name("WORKERS.md")
ACCOUNTS = 10_000
START = 120.0  # seconds for all workers to serve


@dataclass(frozen=True, slots=True)
class Sample:
    """One pgbench process: transactions per second, and the proxy's microseconds of CPU for each."""

    tps: float
    proxy: float


def processes(pid: int) -> list[int]:
    """A process and its children's children."""
    found, index = [pid], 0
    while index < len(found):
        path = Path(f"/proc/{found[index]}/task/{found[index]}/children")
        found += [int(one) for one in path.read_text(encoding="ascii").split()]
        index += 1
    return found


def cpu(pid: int) -> float:
    """Seconds that they have used so far."""
    total = 0.0
    for one in processes(pid):
        fields = Path(f"/proc/{one}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / CLOCK_TICKS
    return total


def wait_ready(admin_port: int) -> None:
    """Until all workers serve."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/readyz", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError("the workers do not serve")


def measure(cluster: Cluster, target: Target, mode: str, clients: int, seconds: float) -> Sample:
    """One pgbench process."""
    with tempfile.TemporaryDirectory(prefix="partywall-workers-") as folder:
        path = Path(folder) / "script.sql"
        path.write_text(schema.script(schema.SELECT_ONLY, ACCOUNTS, None), encoding="utf-8")
        command = [str(cluster.binaries / "pgbench"), "-n", "-h", "127.0.0.1", "-p", str(target.port)]
        command += ["-U", target.user, "-M", mode, "-c", str(clients), "-j", "1", "-T", f"{seconds:.0f}"]
        command += ["-f", str(path), target.database]
        assert target.pid is not None
        before = cpu(target.pid)
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "PGPASSWORD": PASSWORD}
        )
        after = cpu(target.pid)
    tps = next(float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("tps ="))
    return Sample(tps, (after - before) * 1e6 / max(1.0, tps * seconds))


def report(clients: int, seconds: float, rounds: int) -> str:
    """The page."""
    rows: dict[str, list[tuple[Sample, Sample]]] = {}
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="partywall-workers-")))
        work.chmod(0o755)
        cluster = stack.enter_context(running_cluster(None, settings=SETTINGS))
        cluster.create_database("bench")
        cluster.psql("bench", schema.sql(10, ACCOUNTS))
        cluster.psql("bench", "VACUUM ANALYZE")
        targets = []
        for workers in (1, 2):
            rules = schema.rules(cluster.port, PASSWORD, TENANT)
            folder = work / str(workers)
            target, admin_port = start_partywall(stack, folder, rules, f"{workers}", workers=str(workers))
            wait_ready(admin_port)
            targets.append(target)
        for mode in ("simple", "prepared"):
            for number in range(rounds + 1):
                one, two = (measure(cluster, target, mode, clients, seconds) for target in targets)
                if number:  # the first fills the caches
                    rows.setdefault(mode, []).append((one, two))
    lines = [
        "# One worker and two",
        "",
        f"`python -m benchmarks.workers --clients {clients} --seconds {seconds:g} --rounds {rounds}`, on"
        f" {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, which pgbench,"
        " PostgreSQL and the proxy share.",
        "Point selects of pgbench; medians of the rounds, in which both take turns. A ratio is the median of the pairs'.",
        "",
        "| mode | 1 worker, tps | 2 workers, tps | ratio | proxy CPU µs per transaction, 1 and 2 | a core's worth, tps |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for mode, pairs in rows.items():
        ones, twos = [one for one, _ in pairs], [two for _, two in pairs]
        ratio = statistics.median(two.tps / one.tps for one, two in pairs)
        cells = [
            mode,
            *(f"{statistics.median(sample.tps for sample in some):.0f}" for some in (ones, twos)),
            f"{ratio:.2f}",
            " / ".join(f"{statistics.median(sample.proxy for sample in some):.0f}" for some in (ones, twos)),
            f"{1e6 / statistics.median(sample.proxy for sample in ones):.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "A core's worth is what one worker could do with a core of its own. Where pgbench and PostgreSQL fill the cores before that,"
        " the ratio says little: on two cores with other work on them, runs of one commit gave 0.78 to 1.29. What stays is that two"
        " workers use a quarter more CPU for a transaction. They are for machines with cores to spare.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prints the page, or writes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    page = report(given.clients, given.seconds, given.rounds)
    if given.output is None:
        print(page)
    else:
        given.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
