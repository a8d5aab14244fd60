"""`python -m tests.equivalence.generate --seed 7 --count 50000`: generated statements in lock step, at the proxy and at
a private database; what differs is reduced to a minimal statement. Ends with status 1 when anything does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import repeat

from tests.equivalence.compare import Seen, observe
from tests.equivalence.grammar import Statement, generate
from tests.equivalence.lockstep import Ask, Outcome, Side, Tally, compare, error_of
from tests.equivalence.reduce import reduce
from tests.equivalence.stage import LOGINS, Stage, load_traps
from tests.kit.postgres import running
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient


def ask_of(statement: Statement) -> Ask:
    return Ask(statement.text, statement.parameters, statement.extended, statement.ordered, statement.binary)


class Run:
    """One run over a stage whose databases are loaded."""

    def __init__(self, stage: Stage, proxy: Proxy) -> None:
        self.stage = stage
        self.tally = Tally()
        tenant = stage.tenant
        direct = partial(RawClient, "127.0.0.1", stage.port, "app")
        self.private = Side(partial(direct, f"traps_private{tenant}"))
        self.proxied = Side(partial(proxy.connect, LOGINS[tenant]))
        self.alone = Side(partial(direct, f"traps_alone{tenant}"))
        self.shared = Side(partial(direct, stage.database))

    def statements(self, seed: int, numbers: Iterator[int]) -> Iterator[tuple[int, Ask]]:
        for number in numbers:
            statement = generate(seed, number, self.stage.major)
            self.tally.loud += statement.loud
            self.tally.productions.update({name: 1 for name, count in statement.productions.items() if count})
            self.tally.productions.update(dict.fromkeys(statement.productions, 0))
            yield number, ask_of(statement)

    def explain(self, ask: Ask, seen: list[Seen]) -> str:
        """Whether own rows alone decide that what the proxy sends fails or not: `own` if it answers the same on a copy
        of the database without other tenants' rows, `plan` if that copy takes another plan.
        """
        text = self.stage.rewriting.text(ask.text, ask.types, ask.extended)
        if text is None:
            return "different"
        sent = Ask(text, ask.parameters, ask.extended, ask.ordered, ask.binary)
        if observe(self.alone.ask(sent), ordered=ask.ordered) == seen:
            return "own"
        how = replace(sent, text=f"EXPLAIN (COSTS OFF) {text}", binary=False)
        return "plan" if self.alone.ask(how).rows != self.shared.ask(how).rows else "different"

    def go(self, seed: int, numbers: Iterator[int], every: int = 0) -> Iterator[Outcome]:
        """Every outcome; a line of progress after each `every`."""
        started = time.monotonic()
        for outcome in compare(self.statements(seed, numbers), self.private, self.proxied, self.explain):
            self.tally.add(outcome)
            if every and self.tally.total % every == 0:
                spent = time.monotonic() - started
                print(f"{self.tally.total} in {spent:.0f} s: {dict(self.tally.verdicts)}", file=sys.stderr, flush=True)
            yield outcome

    def reduced(self, outcome: Outcome) -> str:
        """A shorter statement with the same verdict."""

        def holds(text: str) -> bool:
            (again,) = compare([(0, replace(outcome.ask, text=text))], self.private, self.proxied, self.explain)
            return again.verdict == outcome.verdict

        return reduce(outcome.ask.text, holds)

    def close(self) -> None:
        for side in (self.private, self.proxied, self.alone, self.shared):
            side.close()


def describe(outcome: Outcome) -> str:
    """A difference for people."""
    ask = outcome.ask
    return (
        f"-- {outcome.verdict} {outcome.at} {ask.parameters if ask.extended else ''}\n{ask.text};\n"
        f"--   private: {_short(outcome.expected)}\n--   proxy:   {_short(outcome.seen)}\n"
    )


def _short(seen: list[Seen]) -> str:
    state, message = error_of(seen)
    return f"{state} {message}" if state else str([one for one in seen if one[0] in ("rows", "C", "T", "closed")])[:600]


def slice_of(stage: Stage, seed: int, numbers: range, told: frozenset[str]) -> tuple[Tally, list[str]]:
    """A process's part of a run, before a proxy of its own: what came of it, and the outcomes that are told."""
    with running_proxy(stage.port, stage.database) as proxy:
        run = Run(stage, proxy)
        found = [one for one in run.go(seed, iter(numbers), every=1000) if one.verdict in told]
        shown = [f"{describe(one)}-- reduced: {run.reduced(one)}\n" for one in found]
        run.close()
        run.tally.lost = run.proxied.lost
        run.tally.tracebacks = proxy.log.count("Traceback")
    return run.tally, shown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--start", type=int, default=0, help="number of the first statement")
    parser.add_argument("--major", type=int, default=15, help="PostgreSQL's major version")
    parser.add_argument("--tenant", type=int, choices=(1, 3), default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with a proxy of its own")
    parser.add_argument("--own", action="store_true", help="print errors on own rows as well")
    chosen = parser.parse_args()
    told = frozenset({"different", "bug", *(("own", "plan") if chosen.own else ())})
    tally = Tally()
    with running(chosen.major) as cluster:
        load_traps(cluster, chosen.tenant)
        stage = Stage(cluster.port, chosen.major, chosen.tenant)
        numbers = [range(chosen.start + at, chosen.start + chosen.count, chosen.jobs) for at in range(chosen.jobs)]
        with ProcessPoolExecutor(chosen.jobs, multiprocessing.get_context("spawn")) as processes:
            for part, shown in processes.map(slice_of, repeat(stage), repeat(chosen.seed), numbers, repeat(told)):
                tally.join(part)
                print("\n".join(shown), flush=True)
    print(tally.report())
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
