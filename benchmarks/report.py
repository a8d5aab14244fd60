"""RESULTS.md: the tables, as the run printed them."""

from __future__ import annotations

import platform
from datetime import UTC, datetime

from benchmarks import copy, relay
from benchmarks.copy import Speed
from benchmarks.pgbench import Row
from benchmarks.planning import Cost
from benchmarks.relay import Flow


def render(
    rows: list[Row],
    costs: list[Cost],
    flows: list[Flow],
    speeds: list[Speed],
    rewritten: float | None,
    setting: str,
) -> str:
    """The whole page as Markdown."""
    lines = ["# Benchmark results", ""]
    lines += [
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}. {setting}",
        "",
    ]
    lines += [
        "Every figure of one combination comes from the same interleaved run; only the ratios carry over to another machine.",
        "",
    ]
    lines += [
        "Ratios are Partywall's to PgBouncer's. Latencies in milliseconds, CPU in microseconds per transaction of the proxy process.",
        "",
    ]
    lines += [
        "| script | mode | clients | target | tps | p50 | p95 | p99 | CPU user | CPU system | tps ratio | CPU ratio |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        one = row.sample
        peer = next((r for r in rows if _peer(r, row)), None) if row.target == "Partywall" else None
        ratio = f"{one.tps / peer.sample.tps:.2f}" if peer else ""
        cpu = f"{one.cpu / peer.sample.cpu:.2f}" if peer and peer.sample.cpu else ""
        used = f"{one.user:.1f} | {one.system:.1f}" if row.target != "direct" else " | "
        lines.append(
            f"| {row.script} | {row.mode} | {row.clients} | {row.target} | {one.tps:.0f} | {one.p50:.3f} | {one.p95:.3f} | {one.p99:.3f}"
            f" | {used} | {ratio} | {cpu} |"
        )
    if rewritten is not None:
        lines += ["", f"Share of planned statements that the metrics count as rewritten: {rewritten:.1%}."]
    lines += ["", "## Added latency at 1 client", "", *_added(rows), "", "## Relay", "", *relay.table(flows)]
    lines += ["", "## Planning, framing and quotas", "", "| what | microseconds |", "|---|---|"]
    lines += [f"| {cost.what} | {cost.microseconds:.2f} |" for cost in costs]
    lines += ["", "## COPY", "", *copy.table(speeds)]
    return "\n".join(lines) + "\n"


def _added(rows: list[Row]) -> list[str]:
    """What Partywall adds to the other ways, in milliseconds."""
    lines = ["| script | mode | against | p50 | p99 |", "|---|---|---|---|---|"]
    for row in rows:
        if row.clients != 1 or row.target != "Partywall":
            continue
        for other in rows:
            if other is not row and (other.script, other.mode, other.clients) == (row.script, row.mode, 1):
                one, two = row.sample, other.sample
                added = f"{one.p50 - two.p50:+.3f} | {one.p99 - two.p99:+.3f}"
                lines.append(f"| {row.script} | {row.mode} | {other.target} | {added} |")
    return lines


def _peer(candidate: Row, row: Row) -> bool:
    same = (candidate.script, candidate.mode, candidate.clients) == (row.script, row.mode, row.clients)
    return same and candidate.target.startswith("PgBouncer")
