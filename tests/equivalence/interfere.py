"""`python -m tests.equivalence.interfere --seed 3 --count 5000 [--fresh] [--large] [--all]`: non-interference. What a
tenant is answered must not depend on the other tenants' rows.

Two shared databases, `other_a` and `other_b`: the tenant's rows are the same (and NULL where they can be, so that what
throws, throws on another's row); the others' are as in traps.sql in the one, replaced, fewer and harmless in the other.
The text that the proxy would send runs on both. Answers are multisets where nothing orders. A difference under one plan
is a leak. With --fresh each database has statistics of its own, and a difference under two plans is the documented
channel (isolation.md 3.9): counted and printed apart. --large: 200,000 rows of a hundred more tenants, more indexes,
parallel plans; planner switches at random in any case. --all: so many statements of each of the three kinds. Half of
the statements are sent by the extended protocol, most of these with bind parameters.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from tests.equivalence.compare import Seen, observe
from tests.equivalence.generate import ask_of
from tests.equivalence.grammar import generate
from tests.equivalence.lockstep import CLOCKS, Ask, Side, error_of
from tests.equivalence.stage import TEMPLATE, Rewriting, Stage, load_traps
from tests.kit.postgres import Cluster, running
from tests.kit.rawclient import RawClient

SWITCHES = (
    "enable_seqscan", "enable_indexscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "enable_nestloop",
    "enable_sort", "enable_hashagg", "enable_material", "enable_memoize", "enable_incremental_sort",
)  # fmt: skip
PARALLEL = (
    "max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;"
    " SET min_parallel_table_scan_size = 0"
)
OWN = """
SET session_replication_role = replica;
UPDATE users SET manager_id = NULL WHERE tenant_id = 1;
UPDATE customers SET email = NULL, city = NULL WHERE tenant_id = 1;
UPDATE orders SET note = NULL, user_id = NULL WHERE tenant_id = 1;
UPDATE notes SET author = NULL WHERE tenant = 'acme';
UPDATE listed SET note = NULL, secret = NULL, amount = NULL WHERE tenant_id = 1;
UPDATE odd SET body = NULL, jb = NULL, num = NULL, dbl = NULL, big = NULL, ts = NULL, tsz = NULL, d = NULL, arr = NULL,
  c1 = NULL, c2 = NULL, q = NULL, ok = NULL WHERE tenant_id = 1 AND id % 2 = 0;
"""
OTHERS = """
SET session_replication_role = replica;
UPDATE users SET email = tenant_id || '-' || id, name = '7', role = '8', password_hash = '3', tags = '{4,4}',
  prefs = '{"n": "9", "m": 9}', created_at = '2023-03-03', manager_id = 5 WHERE tenant_id <> 1;
UPDATE customers SET name = '2', email = '3', city = '4', credit = 77, created_at = '2023-03-03' WHERE tenant_id <> 1;
UPDATE orders SET secret = '6', note = '5', meta = '{"n": "8", "m": 7}', amount = 9, qty = 9, version = 9, user_id = 9,
  status = 'paid', placed_at = '2023-03-03' WHERE tenant_id <> 1;
UPDATE order_items SET price = 9 WHERE tenant_id <> 1;
UPDATE audit_log SET tbl = '2', op = '3', row_id = '4', at = '2023-03-03' WHERE tenant_id <> 1;
UPDATE accounts SET owner = '3', balance = 9 WHERE tenant_id <> 1;
UPDATE transfers SET amount = 9 WHERE tenant_id <> 1;
UPDATE notes SET body = '3', author = '4', updated_at = '2023-03-03' WHERE tenant <> 'acme';
UPDATE documents SET title = '5', body = '6' WHERE tenant_uid <> '00000000-0000-4000-8000-000000000001';
UPDATE events SET kind = '5', payload = '{"n": "8", "m": 7}' WHERE tenant_id <> 1;
UPDATE metrics SET value = 9 WHERE tenant_id <> 1;
UPDATE assets SET label = '5', cost = 9 WHERE tenant_id <> 1;
UPDATE vehicles SET plate = '5' || id, wheels = 3 WHERE tenant_id <> 1;
UPDATE "Order Details" SET "select" = '5' WHERE "TenantId" <> 1;
UPDATE listed SET note = '5', secret = '6', amount = 9 WHERE tenant_id <> 1;
UPDATE odd SET k = '7', body = '7', c1 = '7', c2 = '7', jb = '{"n": "8", "m": 7}', dbl = 9, big = 9, ts = '2023-03-03',
  tsz = '2023-03-03', d = '2023-03-03', num = 9, arr = '{5,5}', ia = '{7}', ok = false WHERE tenant_id <> 1;
DELETE FROM orders WHERE tenant_id <> 1 AND id % 3 = 0;
DELETE FROM odd WHERE tenant_id <> 1 AND id % 3 = 0;
DELETE FROM events WHERE tenant_id = 3;
REFRESH MATERIALIZED VIEW mv_order_stats;
"""
LARGE = """
SET session_replication_role = replica;
INSERT INTO orders (tenant_id, id, customer_id, user_id, status, amount, qty, secret, note, meta, placed_at)
  SELECT 4 + g % 100, g, g % 50, g % 7, (ARRAY['new','paid','shipped'])[1 + g % 3]::order_status, g % 90, {qty}, {text},
    {text}, {json}, timestamptz '2024-01-01 00:00+00' + g * interval '1 minute' FROM generate_series(1, 200000) g;
INSERT INTO customers (tenant_id, id, name, email, city, credit)
  SELECT 4 + g % 100, g, {text}, {text}, {text}, g % 9 FROM generate_series(1, 20000) g;
CREATE INDEX ON orders (note); CREATE INDEX ON orders (qty); CREATE INDEX ON orders (lower(secret));
CREATE INDEX ON orders (customer_id, tenant_id); CREATE INDEX ON customers (city); CREATE INDEX ON customers (credit);
"""


def load_others(cluster: Cluster, *, fresh: bool, large: bool) -> tuple[str, str]:
    """Make the two databases; their names."""
    names = tuple(f"other_{letter}{'_fresh' * fresh}{'_large' * large}" for letter in "ab")
    if names[1] in cluster.databases():
        return names[0], names[1]
    for name in names:
        cluster.create_database(name, TEMPLATE)
        cluster.psql(name, OWN)
        if large:
            bad = {"qty": "0", "text": "'globex ' || g || chr(92)", "json": """'{"n": "globex", "m": "x"}'"""}
            good = {"qty": "1 + g % 5", "text": "(g % 9)::text", "json": """'{"n": "5", "m": 3}'"""}
            cluster.psql(name, LARGE.format(**(bad if name == names[0] else good)))
            cluster.psql(name, "ANALYZE")
        if name == names[1]:
            cluster.psql(name, OTHERS)
        if fresh:
            cluster.psql(name, "ANALYZE")
    return names[0], names[1]


class Interference:
    """Over the two databases, as tenant 1."""

    def __init__(
        self, port: int, major: int, names: tuple[str, str], rewriting: Rewriting | None = None, role: str = "app"
    ) -> None:
        direct = partial(RawClient, "127.0.0.1", port, role)
        prepare = ("SET statement_timeout = 4000",)
        self.rewriting = rewriting or Stage(port, major, 1, names[0]).rewriting
        self.sides = [Side(partial(direct, name), prepare) for name in names]
        self.bound = 0  # statements with bind parameters

    def close(self) -> None:
        for side in self.sides:
            side.close()

    def answers(self, ask: Ask) -> list[list[Seen]]:
        for side in self.sides:
            side.send([ask])
        return [observe(side.collect([ask])[0], ordered=ask.ordered) for side in self.sides]

    def go(self, seed: int, count: int, *, parallel: bool = False) -> Iterator[tuple[str, str]]:
        """(verdict, text) of each statement that the proxy would forward; the text with what is bound behind it."""
        dice = random.Random(seed)
        number = 0
        while count:
            statement = generate(seed, number, self.rewriting.planner.catalog.major)
            number += 1
            asked = ask_of(statement)
            text = self.rewriting.text(asked.text, asked.types, asked.extended)
            if text is None:
                continue
            count -= 1
            if number % 20 == 1:
                self._switch(dice, parallel=parallel)
            ask = replace(asked, text=text)
            one, other = self.answers(ask)
            self.bound += bool(ask.parameters)
            yield self._verdict(ask, one, other), f"{text}{f' -- {ask.parameters}' if ask.parameters else ''}"

    def _switch(self, dice: random.Random, *, parallel: bool) -> None:
        switches = [f"SET {name} = {'on' if dice.random() < 0.7 else 'off'}" for name in SWITCHES]
        if parallel:
            switches.append(f"SET {PARALLEL}")
        for side in self.sides:
            side.client.simple("; ".join(switches))

    def _verdict(self, ask: Ask, one: list[Seen], other: list[Seen]) -> str:
        if one == other:
            return "error" if error_of(one)[0] else "equal"
        if {error_of(one)[0], error_of(other)[0]} & CLOCKS:
            return "clock"
        plans = self.answers(replace(ask, text=f"EXPLAIN (COSTS OFF) {ask.text}", ordered=True, binary=False))
        return "leak" if plans[0] == plans[1] else "plan"


def inquire(cluster: Cluster, seed: int, count: int, *, fresh: bool, large: bool) -> Counter[str]:
    """One kind of run; prints leaks, and what came of it."""
    interference = Interference(cluster.port, cluster.major, load_others(cluster, fresh=fresh, large=large))
    verdicts: Counter[str] = Counter()
    for verdict, text in interference.go(seed, count, parallel=large):
        verdicts[verdict] += 1
        if verdict in ("leak", "plan"):
            print(f"-- {verdict}\n{text};\n", flush=True)
    interference.close()
    print(f"{'fresh' if fresh else 'the same'} statistics{', large tables' * large}, seed {seed}:")
    print(f"  {verdicts.total()} statements, {interference.bound} with bind parameters: {dict(verdicts)}")
    print(f"  other answers under one plan (leaks): {verdicts['leak']}; under two plans (3.9): {verdicts['plan']}")
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--major", type=int, default=15)
    parser.add_argument("--fresh", action="store_true", help="statistics of its own for each database")
    parser.add_argument("--large", action="store_true", help="200,000 rows, more indexes, parallel plans")
    parser.add_argument("--all", action="store_true", help="with neither, with --fresh, and with both")
    chosen = parser.parse_args()
    kinds = [(False, False), (True, False), (True, True)] if chosen.all else [(chosen.fresh, chosen.large)]
    with running(chosen.major) as cluster:
        load_traps(cluster)
        found = [inquire(cluster, chosen.seed, chosen.count, fresh=one, large=other) for one, other in kinds]
    return 1 if sum(one["leak"] for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
