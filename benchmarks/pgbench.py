"""pgbench against the three targets, interleaved in one run: transactions per second, latency percentiles, CPU of the
proxy.

One measurement is one pgbench process of `seconds`; rounds repeat all of them in turn, so that the machine's drift
meets every target
alike; the table holds medians. Percentiles come from pgbench's own per-transaction log.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import schema
from benchmarks.targets import PASSWORD, TENANT, Bench, Target

SCRIPTS = {"select-only": schema.SELECT_ONLY, "TPC-B-like": schema.TPCB_LIKE}
MODES = ("simple", "extended", "prepared")


@dataclass(frozen=True, slots=True)
class Sample:
    """One pgbench process: tps; latencies in milliseconds; proxy CPU in microseconds per transaction."""

    tps: float
    p50: float
    p95: float
    p99: float
    user: float
    system: float

    @property
    def cpu(self) -> float:
        return self.user + self.system


@dataclass(frozen=True, slots=True)
class Row:
    script: str
    mode: str
    clients: int
    target: str
    sample: Sample


def percentile(ordered: list[float], share: float) -> float:
    """The value below which `share` of the ordered values lie (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(
    bench: Bench, target: Target, script: str, mode: str, clients: int, seconds: float, accounts: int
) -> Sample:
    """One pgbench process. RuntimeError with pgbench's own words when a transaction failed."""
    tenant = None if target.name == "Partywall" else TENANT
    with tempfile.TemporaryDirectory(prefix="partywall-pgbench-") as folder:
        path = Path(folder) / "script.sql"
        path.write_text(schema.script(SCRIPTS[script], accounts, tenant), encoding="utf-8")
        command = [str(bench.cluster.binaries / "pgbench"), "-n", "-h", "127.0.0.1", "-p", str(target.port)]
        command += ["-U", target.user, "-M", mode, "-c", str(clients), "-j", "1", "-T", f"{seconds:.0f}"]
        command += ["-f", str(path), "-l", f"--log-prefix={folder}/log", target.database]
        before = target.cpu_seconds()
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PGPASSWORD": PASSWORD}
        )
        after = target.cpu_seconds()
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
        latencies = sorted(
            int(line.split(" ", 3)[2]) / 1000
            for log in Path(folder).glob("log.*")
            for line in log.read_text(encoding="ascii").splitlines()
        )
    tps = next(float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("tps ="))
    per = 1e6 / max(len(latencies), 1)
    user, system = ((b - a) * per for a, b in zip(before, after, strict=True))
    p50, p95, p99 = (percentile(latencies, share) for share in (0.5, 0.95, 0.99))
    return Sample(tps, p50, p95, p99, user, system)


def targets_for(bench: Bench, mode: str) -> Iterator[Target]:
    """PgBouncer 1.18 keeps prepared statements in session pooling only; the table says so by the target's name."""
    yield bench.direct
    bouncer = bench.bouncer_session if mode == "prepared" else bench.bouncer
    if bouncer is not None:
        yield bouncer
    yield bench.partywall


def run(
    bench: Bench,
    *,
    scripts: list[str],
    modes: list[str],
    clients: list[int],
    seconds: float,
    rounds: int,
    accounts: int,
) -> list[Row]:
    """Every combination, `rounds` times in turn; each row holds the medians."""
    rows: list[Row] = []
    for script in scripts:
        for mode in modes:
            for count in clients:
                samples: dict[str, list[Sample]] = {}
                for _ in range(rounds):
                    for target in targets_for(bench, mode):
                        sample = measure(bench, target, script, mode, count, seconds, accounts)
                        samples.setdefault(target.name, []).append(sample)
                for name, some in samples.items():
                    row = Row(script, mode, count, name, _median(some))
                    rows.append(row)
                    print(
                        f"{script:12} {mode:9} {count:3} {name:20} {row.sample.tps:9.0f} tps {row.sample.cpu:7.1f} us",
                        flush=True,
                    )
    return rows


def _median(samples: list[Sample]) -> Sample:
    fields = ("tps", "p50", "p95", "p99", "user", "system")
    return Sample(*(statistics.median(getattr(one, name) for one in samples) for name in fields))
