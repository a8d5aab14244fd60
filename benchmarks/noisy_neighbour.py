"""What a noisy tenant does to a steady one: `python -m benchmarks.noisy_neighbour` measures, tabulates and plots.

The steady tenant asks for one row at a fixed rate whatever happens (an open loop: pgbench -R), and each answer is
timed from when it was due, so that a stall counts for everything that it delays. The noisy one does everything at once
(benchmarks.noise). Each way is measured with the steady tenant alone, the noisy one alone and both, in turn, several
rounds; the table holds medians.

Whatever stands on one machine delays each other by its processors alone. How much that is, is measured as well: the
steady tenant asks the server directly while the noise goes through Partywall to the same server.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pygal
from pygal.style import CleanStyle

from benchmarks import schema
from benchmarks.noise import CLIENTS
from benchmarks.pgbench import percentile
from benchmarks.targets import PASSWORD, SETTINGS, Target, bouncer_binary, start_bouncer, start_partywall
from proxy.auth.scram import build_verifier
from proxy.demo.cluster import Cluster
from proxy.demo.cluster import running as running_cluster

# pygal leaves a finder behind that has no find_spec: Python 3.11 warns of it with every later import.
sys.meta_path[:] = [one for one in sys.meta_path if hasattr(one, "find_spec")]

PAGE = Path(__file__).with_name("NOISY.md")
PLOT = Path(__file__).with_name("noisy_neighbour.svg")
STEADY, NOISY = 7, 8  # tenants
CONNECTIONS = 8  # to the server, of all tenants; the noisy one may have half of them where there is a limit
RATE = 200  # statements of the steady tenant in a second
STEADY_CLIENTS = 4
SELECT = "\\set aid random(1, 1000)\nSELECT abalance FROM pgbench_accounts WHERE {own}aid = :aid;\n"
QUOTAS = (
    f"server_connections: {CONNECTIONS // 2}, concurrent_statements: 1, wait: [concurrent_statements],"
    " planning_time_per_minute: 1s"
)
FREE = "Partywall without quotas"
DIRECT = "No proxy for the steady one"
AUTOGROUP = Path("/proc/sys/kernel/sched_autogroup_enabled")
PRIORITY = -10  # of the proxies, whichever they are
WARM = 1.0  # seconds of the steady tenant's that are not counted: connections are opened, plans are made
WAIT = 2.0  # seconds for which the noise is there before the steady tenant is timed


@dataclass(frozen=True, slots=True)
class Way:
    """How both tenants come to the server. own: do they write their predicates themselves? noisy: where the noise goes
    instead, which does not.
    """

    target: Target
    noisy_database: str
    own: bool
    noisy: Target | None = None

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def noisy_port(self) -> int:
        return (self.noisy or self.target).port

    def survives(self, kind: str) -> bool:
        """PgBouncer 1.18.0, which is Debian's, ends at a cancel storm: its issue 801, "bad client state: 0"."""
        return not self.noise_own or kind != "cancels"

    @property
    def noise_own(self) -> str:
        return f"tenant_id = {NOISY} AND " if self.own and self.noisy is None else ""

    @property
    def steady_own(self) -> str:
        return f"tenant_id = {STEADY} AND " if self.own else ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: latencies of the steady tenant in milliseconds, statements of the noisy one in a second by kind."""

    p50: float = 0.0
    p99: float = 0.0
    noise: Counter[str] | None = None


def rules(cluster: Cluster, quotas: str) -> str:
    """Both tenants; the noisy one with these quotas."""
    verifier = build_verifier(PASSWORD, b"partywall-bench!", 4096)
    return f"""database: bench
server: postgresql://bench_app@127.0.0.1:{cluster.port}/bench
isolation: row
tenant_column: tenant_id
---
tenant: steady
key: {STEADY}
databases: [bench]
logins:
  bench_app: {{verifier: "{verifier}"}}
quotas: {{connections: 200, server_connections: {CONNECTIONS}}}
---
tenant: noisy
key: {NOISY}
databases: [bench]
logins:
  bench_other: {{verifier: "{verifier}"}}
quotas: {{connections: 200, {quotas}}}
"""


def open_ways(stack: ExitStack, tenants: int, accounts: int, most: int = 4) -> tuple[Cluster, list[Way]]:
    """A loaded server, and Partywall with quotas, the server itself, Partywall without quotas, and PgBouncer, in front of
    it; or the first of them.
    """
    work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="partywall-noisy-")))
    work.chmod(0o755)
    cluster = stack.enter_context(running_cluster(None, settings=SETTINGS))
    cluster.create_database("bench")
    cluster.psql("bench", schema.sql(tenants, accounts))
    cluster.psql("bench", "VACUUM ANALYZE")
    ways: list[Way] = []
    for name, quotas in (("Partywall", QUOTAS), (FREE, f"server_connections: {CONNECTIONS}"))[:most]:
        settings = {"max_server_connections": str(CONNECTIONS)}
        target, _ = start_partywall(stack, work / name.split()[-1], rules(cluster, quotas), name, **settings)
        ways.append(Way(target, "bench", own=False))
    if most > 1:
        direct = Target(DIRECT, cluster.port, "bench_app", "bench", None)
        ways.insert(1, Way(direct, "bench", own=True, noisy=ways[0].target))
    binary = bouncer_binary()
    if binary is not None and most > len(ways):
        place = f"host=127.0.0.1 port={cluster.port} dbname=bench user=bench_app pool_size={CONNECTIONS // 2}"
        databases = f"bench = {place}\nnoisy = {place}"
        target = start_bouncer(stack, work / "pgbouncer", binary, "PgBouncer", "transaction", databases)
        ways.append(Way(target, "noisy", own=True))
    with suppress(PermissionError):  # a proxy has a machine or a core of its own, which this one cannot give it
        for way in ways:
            if way.target.pid is not None:
                os.setpriority(os.PRIO_PROCESS, way.target.pid, PRIORITY)
    return cluster, ways


@contextmanager
def one_queue() -> Iterator[None]:
    """Without autogroups (sched(7)), in which a priority counts among the processes of one session only: the noise,
    which runs only when nobody else wants to, would take turns with the server's processes all the same.
    """
    before = ""
    with suppress(OSError):  # there are none, or it is not for us to say
        before = AUTOGROUP.read_text(encoding="ascii")
        AUTOGROUP.write_text("0", encoding="ascii")
    try:
        yield
    finally:
        if before:
            with suppress(OSError):
                AUTOGROUP.write_text(before, encoding="ascii")


def steady(cluster: Cluster, way: Way, seconds: float) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="partywall-noisy-") as folder:
        script = Path(folder) / "script.sql"
        script.write_text(SELECT.format(own=way.steady_own), encoding="utf-8")
        command = [str(cluster.binaries / "pgbench"), "-n", "-h", "127.0.0.1", "-p", str(way.target.port)]
        command += ["-U", "bench_app", "-M", "extended", "-c", str(STEADY_CLIENTS), "-j", "1", "-R", str(RATE)]
        command += ["-T", f"{seconds + WARM:.0f}", "-f", str(script), "-l", f"--log-prefix={folder}/log", "bench"]
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as pgbench:
            with suppress(PermissionError):  # it stands for another machine, which waits for no processor of this one
                os.sched_setscheduler(pgbench.pid, os.SCHED_RR, os.sched_param(1))
            out, errors = pgbench.communicate()
        if pgbench.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{out}\n{errors}")
        lines = [one.read_text(encoding="ascii").splitlines() for one in Path(folder).glob("log.*")]
    timed = []
    for line in itertools.chain.from_iterable(lines):
        _, _, took, _, epoch, part, *_ = line.split()
        timed.append((int(epoch) + int(part) / 1e6, int(took) / 1000))
    begin = min(when for when, _ in timed) + WARM
    latencies = sorted(time for when, time in timed if when >= begin)
    return percentile(latencies, 0.5), percentile(latencies, 0.99)


class Noise:
    """The noisy tenant's program, for so many seconds. around: before and after them there is noise that does not count."""

    def __init__(self, way: Way, seconds: float, around: tuple[float, float], first: int, kinds: Iterable[str]) -> None:
        command = [sys.executable, "-m", "benchmarks.noise", "--port", str(way.noisy_port), "--user", "bench_other"]
        command += ["--database", way.noisy_database, "--own", way.noise_own, "--seconds", str(seconds)]
        command += ["--before", str(around[0]), "--after", str(around[1])]
        command += ["--first", str(first), "--kinds", *kinds]
        self.seconds = seconds
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def result(self) -> Counter[str]:
        """Statements in a second by kind, when it has ended."""
        out, _ = self.process.communicate()
        if self.process.returncode != 0:
            raise RuntimeError("the noise ended before its time")
        return Counter({kind: count / self.seconds for kind, count in json.loads(out)["done"].items()})


def measure(
    cluster: Cluster, way: Way, both: tuple[bool, bool], seconds: float, first: int, kinds: Iterable[str]
) -> Sample:
    """Of the steady tenant, the noisy one, or both."""
    there, loud = both
    around = (WAIT + WARM, 1.0) if there else (0.0, 0.0)  # it gets more done before the steady one comes
    noise = Noise(way, seconds, around, first, kinds) if loud else None
    try:
        p50 = p99 = 0.0
        if there:
            if noise is not None:
                with suppress(subprocess.TimeoutExpired):
                    noise.process.wait(WAIT)  # which it does not end within
            p50, p99 = steady(cluster, way, seconds)
        return Sample(p50, p99, noise.result() if noise is not None else None)
    finally:
        if noise is not None and noise.process.poll() is None:
            noise.process.kill()
            noise.process.wait()


ALONE, NOISE, BOTH = (True, False), (False, True), (True, True)
Results = dict[tuple[str, tuple[bool, bool]], list[Sample]]


def run(rounds: int, seconds: float, kinds: list[str], only: list[str]) -> tuple[list[str], Results]:
    """Every way and combination in turn, round by round."""
    results: Results = {}
    serial = itertools.count(1)
    with ExitStack() as stack:
        stack.enter_context(one_queue())
        cluster, ways = open_ways(stack, 20, 1000)
        ways = [way for way in ways if not only or way.name in only]
        for number in range(rounds):
            for way in ways:
                for both in (ALONE, NOISE, BOTH):
                    there = [kind for kind in kinds if way.survives(kind)]
                    sample = measure(cluster, way, both, seconds, next(serial) * 10_000_000, there)
                    results.setdefault((way.name, both), []).append(sample)
                    noise = "" if sample.noise is None else f"{dict(sample.noise)}"
                    print(f"{number + 1} {way.name:25} {sample.p50:8.2f} {sample.p99:8.2f} ms {noise}", flush=True)
    return [way.name for way in ways], results


def middle(samples: list[Sample], of: str) -> float:
    """The median of one figure; of the noise: of a kind, or of all its statements."""
    if of in {"p50", "p99"}:
        return statistics.median(float(getattr(one, of)) for one in samples)
    found = [one.noise or Counter() for one in samples]
    return statistics.median(one[of] if of != "all" else sum(one[kind] for kind in CLIENTS) for one in found)


def table(names: list[str], results: Results) -> list[str]:
    """The page's tables."""
    lines = [
        "| | steady alone: p50 | p99 | beside the noise: p50 | p99 | p99 ratio | what the noise gets done, of its own alone |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    free = results.get((FREE, NOISE), [])
    for name in names:
        alone, noise, both = (results[name, which] for which in (ALONE, NOISE, BOTH))
        ratio = middle(both, "p99") / middle(alone, "p99")
        kept = middle(both, "all") / max(middle(noise, "all"), 1e-9)
        figures = " | ".join(f"{middle(one, of):.2f}" for one in (alone, both) for of in ("p50", "p99"))
        without = (
            f"; {middle(both, 'all') / max(middle(free, 'all'), 1e-9):.0%} without quotas"
            if name == "Partywall" and free
            else ""
        )
        lines.append(f"| {name} | {figures} | {ratio:.2f} | {kept:.0%}{without} |")
    if {"Partywall", DIRECT} <= set(names):
        one, two = (
            middle(results[name, BOTH], "p99") - middle(results[name, ALONE], "p99") for name in ("Partywall", DIRECT)
        )
        lines += ["", f"The noise adds {one:.2f} ms to the p99 through Partywall, and {two:.2f} ms without a proxy."]
    lines += ["", "What the noisy tenant got done, in a second, alone and beside the steady one:", ""]
    lines += ["| | " + " | ".join(CLIENTS) + " |", "|---" * (len(CLIENTS) + 1) + "|"]
    for name in names:
        cells = [
            f"{middle(results[name, NOISE], kind):.0f} / {middle(results[name, BOTH], kind):.0f}" for kind in CLIENTS
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def plot(names: list[str], results: Results) -> str:
    """Bars of the steady tenant's p99, alone and beside the noise."""
    chart = pygal.HorizontalBar(
        style=CleanStyle, js=[], print_values=True, logarithmic=True, height=420, x_title="milliseconds",
        value_formatter=lambda value: f"{value:.2f}", title="The steady tenant's p99", legend_at_bottom=True,
        disable_xml_declaration=True, no_prefix=True,
    )  # fmt: skip
    chart.x_labels = names
    for title, which in (("alone", ALONE), ("beside the noise", BOTH)):
        chart.add(title, [middle(results[name, which], "p99") for name in names])
    return str(chart.render(is_unicode=True)) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.noisy_neighbour", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved repetitions; the tables hold medians")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--kinds", nargs="+", default=list(CLIENTS), choices=list(CLIENTS), help="of noise")
    parser.add_argument("--only", nargs="+", default=[], help="names of the ways to measure")
    parser.add_argument("--dry", action="store_true", help="print, and leave the page and the plot alone")
    arguments = parser.parse_args()
    names, results = run(arguments.rounds, arguments.seconds, arguments.kinds, arguments.only)
    page = [
        "# A noisy neighbour",
        "",
        f"Written by `python -m benchmarks.noisy_neighbour` on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()},"
        f" {os.cpu_count()} cores: {arguments.rounds} interleaved rounds of {arguments.seconds:g} s, medians. Latencies in milliseconds.",
        "",
        f"The steady tenant asks for one row {RATE} times a second, each timed from when it was due. The noisy one, at the same time: "
        + ", ".join(f"{count} of {kind}" for kind, count in CLIENTS.items())
        + f" (`benchmarks/noise.py`). The server has {CONNECTIONS} connections for both; the noisy one may have {CONNECTIONS // 2} of them,"
        f" by its database's `pool_size` in PgBouncer, and in Partywall by its quotas: `{QUOTAS}`. PgBouncer is spared the cancel requests:"
        " version 1.18.0 ends at them (its issue 801).",
        "",
        "All of it stands on one machine, whose processors delay everybody: the proxies have a high priority there, and"
        f" the steady tenant's clients a real-time one. “{DIRECT}” is how much: the steady tenant asks the server"
        " itself, while the noise goes there through Partywall.",
        "",
        *table(names, results),
        "",
        f"![p99]({PLOT.name})",
    ]
    print("\n".join(page))
    if not arguments.dry:
        PAGE.write_text("\n".join(page) + "\n", encoding="utf-8")
        PLOT.write_text(plot(names, results), encoding="utf-8")


if __name__ == "__main__":
    main()
