"""Many tenants on few server connections: `python -m benchmarks.pools` shows what handing connections on costs.

The same tenants ask one statement after the other, so that each statement needs a connection that another tenant had
last: with `pool_sharing: reset` it is handed on after DISCARD ALL, with `never` it is closed and another opened. Beside
them, as many tenants as there are connections: nothing changes hands. `--output` rewrites the page.
"""

from __future__ import annotations

import argparse
import platform
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from tests.chaos.tenants import Outcome, gather

RESULTS = Path(__file__).with_name("POOLS.md")


def main() -> None:
    """Measures, prints, and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pools", description=__doc__)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--active", type=int, default=500)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    whole = gather(given.tenants, given.active, given.connections, given.seconds)
    runs = [
        ("its own", gather(given.connections, given.connections, given.connections, given.seconds)),
        ("`reset`", gather(given.active, given.active, given.connections, given.seconds)),
        ("`never`", gather(given.active, given.active, given.connections, given.seconds, "never")),
    ]
    page = render(given.tenants, given.active, given.connections, whole, runs)
    print(page)
    if given.output is not None:
        given.output.write_text(page, encoding="utf-8")


def render(tenants: int, active: int, connections: int, whole: Outcome, runs: list[tuple[str, Outcome]]) -> str:
    """The page."""
    loop = "uvloop" if find_spec("uvloop") else "asyncio's own loop"
    base = runs[0][1]
    lines = [
        "# Many tenants on few server connections",
        "",
        f"Written by `python -m benchmarks.pools` on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {loop}; clients,",
        "proxy and server share one machine, so that only ratios and the proxy's CPU time mean anything.",
        "",
        f"## {tenants} tenants, {active} of them active, on {connections} server connections, in one process",
        "",
        *(f"- {line}" for line in str(whole).splitlines()),
        "",
        "## What handing on costs",
        "",
        f"{active} tenants ask in turn on {connections} server connections. `its own`: {connections} tenants, so that each keeps its connection.",
        "",
        "| connections | statements | the proxy's CPU for each | to its own | opened | handed on | least and most of a tenant |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in runs:
        counts = sorted(one.served.values())
        lines.append(
            f"| {name} | {sum(counts)} | {cost(one):.0f} µs | {cost(one) / cost(base):.1f} | {one.opened:.0f} | {one.resets:.0f} | {counts[0]}, {counts[-1]} |"
        )
    return "\n".join(lines) + "\n"


def cost(one: Outcome) -> float:
    """Microseconds of the proxy's CPU for a statement."""
    return one.cpu / max(1, sum(one.served.values())) * 1e6


if __name__ == "__main__":
    main()
