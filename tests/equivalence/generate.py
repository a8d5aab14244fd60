"""`python -m tests.equivalence.generate --seed 7 --count 50000`: generated statements in lock step, at the proxy and at
a private database; what differs is reduced to a minimal statement. Ends with status 1 when anything does.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from tests.equivalence.compare import Seen, observe
from tests.equivalence.grammar import Statement, generate
from tests.equivalence.lockstep import Ask, Outcome, Side, Tally, compare, error_of
from tests.equivalence.stage import LOGINS, Stage, load_traps
from tests.kit.postgres import running
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient


def ask_of(statement: Statement) -> Ask:
    return Ask(statement.text, statement.parameters, statement.extended, statement.ordered, statement.binary)


class Run:
    """One run over a stage whose databases are loaded. productions: how many statements used each."""

    def __init__(self, stage: Stage, proxy: Proxy) -> None:
        self.stage = stage
        self.tally = Tally()
        self.productions: Counter[str] = Counter()
        self.loud = 0
        port, tenant = stage.cluster.port, stage.tenant
        direct = partial(RawClient, "127.0.0.1", port, "app")
        self.private = Side(partial(direct, f"traps_private{tenant}"))
        self.proxied = Side(partial(proxy.connect, LOGINS[tenant]))
        self.alone = Side(partial(direct, f"traps_alone{tenant}"))
        self.shared = Side(partial(direct, stage.database))

    def statements(self, seed: int, numbers: Iterator[int]) -> Iterator[tuple[int, Ask]]:
        for number in numbers:
            statement = generate(seed, number, self.stage.cluster.major)
            self.loud += statement.loud
            self.productions.update({name: 1 for name, count in statement.productions.items() if count})
            self.productions.update(dict.fromkeys(statement.productions, 0))
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

    def report(self) -> str:
        """What was covered and what came of it."""
        tally = self.tally
        total = max(1, tally.total)
        lines = [
            f"statements                       {tally.total}",
            f"run without error (private)      {tally.ran / total:.1%}",
            f"... that return or change a row  {tally.touched / max(1, tally.ran):.1%}",
            f"may throw outside target lists   {self.loud / total:.1%}",
            *(
                f"verdict {name:24} {tally.verdicts[name]}"
                for name in ("equal", "unplaced", "refused", "own", "plan", "clock", "different", "bug")
            ),
            f"lost connections                 {self.proxied.lost}",
            "refused, by reason:",
            *(f"  {count:6} {count / total:6.2%} {reason}" for reason, count in tally.reasons.most_common(25)),
            "productions used least (statements):",
            *(f"  {count:6} {name}" for name, count in sorted(self.productions.items(), key=lambda one: one[1])[:25]),
            f"productions                      {len(self.productions)}",
        ]
        return "\n".join(lines)

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--start", type=int, default=0, help="number of the first statement")
    parser.add_argument("--only", type=int, default=None, help="one statement, by its number")
    parser.add_argument("--major", type=int, default=15, help="PostgreSQL's major version")
    parser.add_argument("--tenant", type=int, choices=(1, 3), default=1)
    parser.add_argument("--show", type=int, default=20, help="differences printed in full")
    parser.add_argument("--own", action="store_true", help="print errors on own rows as well")
    chosen = parser.parse_args()
    numbers = iter(range(chosen.start, chosen.start + chosen.count)) if chosen.only is None else iter([chosen.only])
    with running(chosen.major) as cluster:
        load_traps(cluster, chosen.tenant)
        with running_proxy(cluster.port, "traps_shared") as proxy:
            run = Run(Stage(cluster, chosen.tenant), proxy)
            shown = 0
            for outcome in run.go(chosen.seed, numbers, every=1000):
                told = outcome.verdict in ("different", "bug") or (chosen.own and outcome.verdict in ("own", "plan"))
                if chosen.only is not None or (told and shown < chosen.show):
                    shown += 1
                    print(describe(outcome), flush=True)
            run.close()
            if chosen.only is not None:
                print(run.stage.rewriting.text(outcome.ask.text, outcome.ask.types, outcome.ask.extended))
            print(run.report())
    return 1 if run.tally.verdicts["different"] or run.tally.verdicts["bug"] else 0


if __name__ == "__main__":
    sys.exit(main())
