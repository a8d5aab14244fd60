"""Generated statements: what a tenant sees through the proxy is what it would see on a private database.

`python -m tests.equivalence.generate` runs any number of them from any seed.
"""

from __future__ import annotations

from functools import partial

import pytest

from tests.equivalence.generate import Run, ask_of, describe
from tests.equivalence.grammar import generate
from tests.equivalence.grammar.loud import LOUD, OWN
from tests.equivalence.grammar.tables import KINDS
from tests.equivalence.lockstep import Side, compare
from tests.equivalence.stage import Stage, load_traps
from tests.kit.postgres import Cluster
from tests.kit.proxy import running_proxy
from tests.kit.rawclient import RawClient

COUNT = {15: 1500, 18: 500}


def test_generated_statements_answer_as_the_private_database_does(
    server: Cluster, effort: int, capsys: pytest.CaptureFixture[str]
) -> None:
    load_traps(server)
    with running_proxy(server.port, "traps_shared") as proxy:
        run = Run(Stage(server.port, server.major), proxy)
        wrong = [
            describe(one)
            for one in run.go(1, iter(range(COUNT.get(server.major, 500) * effort)))
            if one.verdict in ("different", "bug")
        ]
        run.close()
        log = proxy.log
    with capsys.disabled():
        print(f"\nPostgreSQL {server.major}: {dict(run.tally.verdicts)}")
    assert wrong == []
    assert run.proxied.lost == 0
    assert "Traceback" not in log
    assert run.tally.ran > 0.6 * run.tally.total
    assert run.tally.touched > 0.5 * run.tally.ran
    assert run.tally.loud > 0.2 * run.tally.total
    assert run.tally.verdicts["own"] + run.tally.verdicts["plan"] < 0.02 * run.tally.total


def test_a_statement_depends_on_its_seed_and_number_only() -> None:
    assert generate(1, 5) == generate(1, 5)
    assert len({generate(1, number).text for number in range(50)}) > 45
    assert generate(1, 5).text != generate(2, 5).text


def test_what_is_summed_up_is_exact_because_no_order_of_rows_is_promised(postgres15: Cluster) -> None:
    """avg() of floats differs in its last digit by the order of its rows."""
    load_traps(postgres15)
    names, made = [], []
    for of, rules in [*LOUD.items(), *OWN.items()]:
        for name, template, result in rules:
            if result in ("int", "num"):
                names.append(name)
                made.append(f"pg_typeof({template.format(c=f'(NULL::{KINDS[of]})', k=1)})")
    kinds = postgres15.psql("traps_private1", f"SELECT unnest(ARRAY[{', '.join(made)}]::text[])").split("\n")
    exact = {"integer", "bigint", "numeric", "posint"}
    assert [name for name, kind in zip(names, kinds, strict=False) if kind.strip() not in exact] == []
    assert len(names) <= len(kinds)


def test_without_a_wall_the_difference_is_seen(postgres15: Cluster) -> None:
    """The same statements, sent to the shared database as they are: nearly all that read a tenant's table differ."""
    load_traps(postgres15)
    direct = partial(RawClient, "127.0.0.1", postgres15.port, "app")
    private, shared = Side(partial(direct, "traps_private1")), Side(partial(direct, "traps_shared"))
    asks = [(number, ask_of(generate(1, number))) for number in range(200)]
    different = [one for one in compare(asks, private, shared) if one.verdict == "different"]
    private.close()
    shared.close()
    assert len(different) > 80
