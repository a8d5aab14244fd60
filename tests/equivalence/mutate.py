"""`python -m tests.equivalence.mutate --seed 1 --count 5000`: is the verifier right? Statements that the rewriter made
are changed in one place, and each mutant is asked of the verifier and of a real server.

A mutant is unsafe when it answers otherwise on the shared database than on the same database without other tenants'
rows, or leaves a row of another tenant there. No unsafe mutant may pass. How many safe ones are refused is the
verifier's precision, and no fault.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from pglast.parser import DeparseError, ParseError, deparse_protobuf

from proxy.errors import Refusal
from proxy.sql.encode import encode
from proxy.sql.parse import parse
from proxy.sql.verify import verify
from tests.equivalence.compare import observe
from tests.equivalence.grammar import generate
from tests.equivalence.lockstep import CLOCKS, Ask, Side, error_of, touches
from tests.equivalence.stage import Stage, load_traps
from tests.kit.postgres import running
from tests.kit.rawclient import RawClient
from tests.sql.verify.mutants import CHANGES, Node, mutants

EACH = 3  # mutants of one statement by one change: not all of a long statement's, so that there are many statements
OWN = {"notes": "tenant = 'acme'", "documents": "tenant_uid = '00000000-0000-4000-8000-000000000001'"}
OWN |= {'"Order Details"': '"TenantId" = 1'}
WRITTEN = ("orders", "customers", "users", "odd", "events", "assets", "order_items", *OWN)
FOREIGN = "SELECT " + " + ".join(
    f"(SELECT count(*) FROM {one} WHERE NOT {OWN.get(one, 'tenant_id = 1')})" for one in WRITTEN
)


@dataclass(slots=True)
class Verdicts:
    """By change: how many mutants passed or were refused, and of those that were run, how many were unsafe."""

    made: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    refused_and_run: Counter[str] = field(default_factory=Counter)
    refused_and_safe: Counter[str] = field(default_factory=Counter)
    escaped: list[tuple[str, str, str]] = field(default_factory=list)

    def report(self) -> str:
        lines = [f"{'change':44}{'mutants':>9}{'passed':>8}{'refused, run':>14}{'of them safe':>14}"]
        for change in CHANGES:
            run, safe = self.refused_and_run[change], self.refused_and_safe[change]
            lines.append(f"{change:44}{self.made[change]:9}{self.passed[change]:8}{run:14}{safe:14}")
        counts = (self.made, self.passed, self.refused_and_run, self.refused_and_safe)
        made, passed, run, safe = (sum(one.values()) for one in counts)
        lines.append(f"{'all':44}{made:9}{passed:8}{run:14}{safe:14}")
        lines.append(f"unsafe mutants that passed: {len(self.escaped)}")
        return "\n".join(lines)


class Mutation:
    """Over a stage whose databases are loaded, as tenant 1."""

    def __init__(self, stage: Stage, word: str = "") -> None:
        """word: what every statement must have in it."""
        self.word = word
        direct = partial(RawClient, "127.0.0.1", stage.port, "app")
        prepare = ("SET statement_timeout = 2000",)
        self.rewriting = stage.rewriting
        self.shared = Side(partial(direct, stage.database), prepare)
        self.alone = Side(partial(direct, f"traps_alone{stage.tenant}"), prepare)

    def close(self) -> None:
        self.shared.close()
        self.alone.close()

    def originals(self, seed: int) -> Iterator[tuple[str, Node]]:
        """Texts that the rewriter made out of generated statements, and their trees: without parameters, and such as
        return or change a row, for a mutant of any other may be as empty.
        """
        number = 0
        while True:
            statement = generate(seed, number, self.rewriting.planner.catalog.major)
            number += 1
            wanted = self.word in statement.text and not statement.parameters
            text = self.rewriting.text(statement.text) if wanted else None
            if text is not None and len(text) < 3000 and self.tells(text) and not self.unsafe(text):
                major = self.rewriting.planner.catalog.major
                yield text, parse(text.encode(), size_limit=1 << 20, server_major=major)[0].tree

    def tells(self, text: str) -> bool:
        return touches(observe(self.shared.ask(Ask(text)), ordered=False))

    def unsafe(self, text: str) -> bool:
        """Whether other tenants' rows decide the answer, or are made."""
        ask, check = Ask(text), Ask(f"{text}; {FOREIGN}")
        asks = [check if _changes(text) else ask]
        self.shared.send([ask])
        self.alone.send(asks)
        seen, alone = self.shared.collect([ask])[0], self.alone.collect(asks)[0]
        if _changes(text) and not alone.errors:
            if alone.rows[-1] != (b"0",):
                return True
            del alone.messages[-4:-1]  # RowDescription, DataRow and CommandComplete of the check
        one, other = observe(seen, ordered=False), observe(alone, ordered=False)
        if {error_of(one)[0], error_of(other)[0]} & CLOCKS:
            return False
        return one != other

    def proved(self, text: str) -> bool:
        try:
            verify(text, self.rewriting.context, self.rewriting.planner.catalog, self.rewriting.keys)
        except Refusal:
            return False
        return True


def _changes(text: str) -> bool:
    return any(word in text for word in ("INSERT INTO", "UPDATE ", "DELETE FROM", "MERGE INTO"))


def examine(mutation: Mutation, seed: int, count: int, sample: int) -> Verdicts:
    """Makes `count` mutants; runs all that pass, and every `sample`-th that is refused."""
    verdicts = Verdicts()
    for text, tree in mutation.originals(seed):
        here: Counter[str] = Counter()
        for change, mutant in mutants(tree):
            if here[change] == EACH:
                continue
            try:
                changed = deparse_protobuf(encode(mutant))
            except (DeparseError, ParseError):
                continue
            if changed == text:
                continue
            here[change] += 1
            verdicts.made[change] += 1
            if mutation.proved(changed):
                verdicts.passed[change] += 1
                if mutation.unsafe(changed):
                    verdicts.escaped.append((change, text, changed))
            elif sum(verdicts.made.values()) % sample == 0:
                verdicts.refused_and_run[change] += 1
                verdicts.refused_and_safe[change] += not mutation.unsafe(changed)
        if sum(verdicts.made.values()) >= count:
            return verdicts
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--sample", type=int, default=10, help="run every n-th refused mutant")
    parser.add_argument("--major", type=int, default=15)
    parser.add_argument("--word", default="", help="only of statements with this in them, such as MERGE")
    chosen = parser.parse_args()
    with running(chosen.major) as cluster:
        load_traps(cluster)
        mutation = Mutation(Stage(cluster.port, chosen.major), chosen.word)
        verdicts = examine(mutation, chosen.seed, chosen.count, chosen.sample)
        mutation.close()
    for change, text, changed in verdicts.escaped:
        print(f"-- {change}\n{text};\n{changed};\n")
    print(verdicts.report())
    return 1 if verdicts.escaped else 0


if __name__ == "__main__":
    sys.exit(main())
