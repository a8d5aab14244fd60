"""Mode equality: in every isolation mode each block of both corpora answers as recorded, for every tenant, by both
protocols, on both majors; the record is within what was promised, and the page shows it. In a quick run each tenant
speaks one protocol at one server and the other at the next.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.sql.families import FAMILIES
from tests.conftest import EFFORT, MAJORS
from tests.equivalence.corpus import Block
from tests.equivalence.equality import PAGE, REASONS, page_part, recorded, renewed, statements_of, unequal
from tests.equivalence.modes import CORPORA, MODES, PROTOCOLS, Mode, Stage
from tests.equivalence.run import Outcome, table
from tests.kit.postgres import Cluster
from tests.kit.rules import TENANTS

TURNS = range(min(2, EFFORT))


def protocol_of(server: Cluster, tenant: int, turn: int) -> str:
    """For each tenant the one protocol at one server and the other at the next; both at each when there is time."""
    return PROTOCOLS[(tenant + turn + MAJORS.index(server.major)) % len(PROTOCOLS)]


@pytest.fixture(scope="module", params=MODES, ids=[one.name for one in MODES])
def mode(request: pytest.FixtureRequest) -> Mode:
    found: Mode = request.param
    return found


@pytest.fixture(scope="module")
def stage(server: Cluster, mode: Mode) -> Iterator[Stage]:
    with mode.stage(server) as stage:
        yield stage


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("tenant", TENANTS)
def test_every_legitimate_block_answers_as_the_private_database_or_is_on_record(
    server: Cluster, mode: Mode, stage: Stage, tenant: int, turn: int, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = protocol_of(server, tenant, turn)
    before = stage.others(tenant)
    outcomes = stage.play("legit", tenant, protocol)
    with capsys.disabled():
        print(f"\nPostgreSQL {server.major}, mode {mode.name}, tenant {tenant}, {protocol}\n{table(outcomes)}")
    wrong = {one.block.id: (one.expected, one.seen) for one in outcomes if one.verdict == "different"}
    known = recorded()["legit"][mode.name]
    assert {name: what for name, what in wrong.items() if known.get(name) != "different"} == {}
    assert unequal(outcomes) == known
    assert stage.others(tenant) == before


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("tenant", TENANTS)
def test_what_shows_how_a_database_is_stored_is_equal_or_on_record(
    server: Cluster, mode: Mode, stage: Stage, tenant: int, turn: int
) -> None:
    outcomes = stage.play("physical", tenant, protocol_of(server, tenant, turn))
    known = recorded()["physical"][mode.name]
    wrong = {one.block.id: (one.expected, one.seen) for one in outcomes if one.verdict != "equal"}
    assert {name: what for name, what in wrong.items() if name not in known} == {}


def test_no_mode_has_more_blocks_that_are_not_equal_than_was_promised() -> None:
    bounds = {one.name: one.bound for one in MODES}
    assert bounds == {"row": 4, "rls": 16, "row+rls": 16, "schema": 0, "database": 0}
    seen = recorded()
    assert {name for modes in seen["legit"].values() for name in modes} == REASONS.keys()
    assert {name: len(seen["legit"][name]) for name in bounds if len(seen["legit"][name]) > bounds[name]} == {}
    # EXPLAIN, sequences and the order of rows, too, but for the size of a relation (P030).
    assert seen["physical"]["schema"].keys() <= {"P030"}
    assert seen["physical"]["database"] == {}


def test_the_page_shows_what_is_on_record() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_part(recorded()) in text
    assert renewed(text, recorded()) == text


def test_no_block_that_is_on_record_is_unknown() -> None:
    for corpus, modes in recorded().items():
        assert modes.keys() == {one.name for one in MODES}
        for seen in modes.values():
            assert seen.keys() <= {one.id for one in CORPORA[corpus]}


def test_the_corpus_has_a_statement_of_every_family_that_tenants_of_shared_tables_send() -> None:
    kinds = {kind for corpus in CORPORA.values() for one in corpus for kind in statements_of(one)}
    others = {"CreateTableAsStmt", "DiscardStmt", "IndexStmt", "TruncateStmt"}  # have tests of their own
    assert FAMILIES.keys() - kinds <= others


def test_the_gravest_verdict_of_a_block_counts_and_what_does_not_parse_has_no_kind() -> None:
    block = Block("X1", "django", "read", False, False, ("SELECT 1; BEGIN", "no statement"))
    outcomes = [Outcome(block, verdict, (), ()) for verdict in ("equal", "different", "refused")]
    assert unequal(outcomes) == {"X1": "different"}
    assert unequal(outcomes[:1]) == {}
    assert statements_of(block) == {"SelectStmt", "TransactionStmt"}
