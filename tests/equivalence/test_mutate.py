"""The verifier's own test: no mutant that would show, change or depend on another tenant's row is proved.

`python -m tests.equivalence.mutate` makes any number of them.
"""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.equivalence.mutate import Mutation, examine
from tests.equivalence.stage import Stage, load_traps
from tests.kit.postgres import Cluster


def test_no_unsafe_mutant_is_proved(postgres15: Cluster, effort: int, capsys: pytest.CaptureFixture[str]) -> None:
    load_traps(postgres15)
    with closing(Mutation(Stage(postgres15.port, postgres15.major))) as mutation:
        verdicts = examine(mutation, 2, 400 * effort, 10)
    with capsys.disabled():
        print(f"\n{verdicts.report()}")
    assert verdicts.escaped == []
    assert sum(verdicts.refused_and_run.values()) > sum(verdicts.refused_and_safe.values())
    assert len([change for change, made in verdicts.made.items() if made]) >= 12


def test_a_statement_without_its_predicate_is_unsafe(postgres15: Cluster) -> None:
    load_traps(postgres15)
    with closing(Mutation(Stage(postgres15.port, postgres15.major))) as mutation:
        confined = mutation.rewriting.text("SELECT id FROM orders")
        assert confined is not None
        assert mutation.proved(confined)
        assert not mutation.unsafe(confined)
        for text in (
            "SELECT id FROM public.orders",
            "INSERT INTO public.notes (tenant, id, body) VALUES ('globex', 77, 'x')",
            "DELETE FROM public.orders",
            "SELECT 1 FROM public.odd WHERE tenant_id = 1 AND ARRAY[arr, ARRAY['a', 'b']] IS NULL",
        ):
            assert mutation.unsafe(text), text
            assert not mutation.proved(text), text
