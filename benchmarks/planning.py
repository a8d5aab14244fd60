"""What planning and framing cost in one process: cold plans, cache hits, bytes scanned per message. Best of several
repeats, microseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from proxy.catalog.model import Catalog
from proxy.sql.plan import PlanContext
from proxy.sql.planner import Planner
from proxy.sql.render import fill
from proxy.tenancy.policy import Policy

POINT_SELECT = "SELECT abalance FROM pgbench_accounts WHERE aid = 1"
JOIN = (
    "SELECT a.aid, a.abalance, b.bbalance, t.tbalance, h.delta, h.mtime, CASE WHEN a.abalance > 1000 THEN 'rich' ELSE 'poor' END AS class "
    "FROM pgbench_accounts AS a JOIN pgbench_branches AS b ON b.bid = a.bid AND b.tenant_id = a.tenant_id "
    "LEFT JOIN pgbench_tellers AS t ON t.bid = b.bid AND t.tenant_id = b.tenant_id "
    "LEFT JOIN pgbench_history AS h ON h.aid = a.aid AND h.tenant_id = a.tenant_id AND h.mtime > CURRENT_DATE "
    "WHERE a.aid BETWEEN 100 AND 200 AND (b.bbalance > 0 OR b.bbalance IS NULL) AND a.filler LIKE 'x%' "
    "AND t.tid IN (1, 2, 3, 4) ORDER BY a.aid, t.tid LIMIT 50 OFFSET 10"
)


# 100 bytes each; the first has a comment, so that only its exact text finds it
SAME_TEXT = b"SELECT abalance, bid, filler FROM pgbench_accounts /* one */ WHERE aid = 12345 AND abalance > 100 LIMIT 1"
LIKE_TEXT = b"SELECT abalance, bid, filler FROM pgbench_accounts WHERE aid = %d AND filler LIKE 'x%%' AND abalance > %d"


@dataclass(frozen=True, slots=True)
class Cost:
    what: str
    microseconds: float


def values(size: int) -> str:
    """A multi-row INSERT of about `size` bytes."""
    row = "(1, 1, 1, 100, CURRENT_TIMESTAMP, 'some filler text')"
    return "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime, filler) VALUES " + ", ".join(
        [row] * max(1, size // (len(row) + 2))
    )


def best(work: Callable[[int], object], number: int, repeats: int = 5) -> float:
    """Microseconds a call, the best of several repeats; the argument is a running number."""
    result = float("inf")
    serial = 0
    for _ in range(repeats):
        begun = time.perf_counter()
        for _ in range(number):
            serial += 1
            work(serial)
        result = min(result, (time.perf_counter() - begun) / number)
    return result * 1e6


def costs(catalog: Catalog, policy: Policy) -> list[Cost]:
    """Every figure of the planning table."""
    context = PlanContext(policy, catalog.version)
    planner = Planner(catalog, 64 << 20)
    found = [
        Cost(f"cold plan, {what}", best(lambda _, text=text: planner.compute(text, context), number))  # type: ignore[misc]  # bound by default
        for what, text, number in (
            (f"point select ({len(POINT_SELECT)} B)", POINT_SELECT.encode(), 100),
            (f"join of four tables ({len(JOIN)} B)", JOIN.encode(), 20),
            ("5 KB of VALUES", values(5_000).encode(), 5),
            ("100 KB of VALUES", values(100_000).encode(), 1),
        )
    ]
    text = POINT_SELECT.encode()
    planned = planner.plan(text, context)
    planner.plan(LIKE_TEXT % (1, 1), context)
    planner.plan(SAME_TEXT, context)
    keys = {"default": "7"}
    found.append(
        Cost(
            "cache hit, lifted shape, filled",
            best(lambda n: _hit(planner, context, b"%s%d" % (text[:-1], n), keys), 2000),
        )
    )
    found.append(
        Cost(
            "cache hit, the same text of 100 B, filled",
            best(lambda _: _hit(planner, context, SAME_TEXT, keys), 5000),
        )
    )
    found.append(
        Cost(
            "cache hit, lifted shape of 100 B, filled",
            best(lambda n: _hit(planner, context, LIKE_TEXT % (n, n), keys), 2000),
        )
    )
    found.append(
        Cost("fill of a point select", best(lambda _: fill(planned.plans[0].template, keys, planned.literals), 5000))
    )  # type: ignore[union-attr]  # a Forward
    return found


def _hit(planner: Planner, context: PlanContext, text: bytes, keys: dict[str, str]) -> bytes:
    found = planner.lookup(text, context)
    if found is None:
        raise RuntimeError("a lifted statement missed the cache")
    return fill(found.plans[0].template, keys, found.literals)  # type: ignore[union-attr]  # a Forward
