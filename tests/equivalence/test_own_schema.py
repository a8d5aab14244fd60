"""In a schema of its own beside other tenants' every block of legit.sql and every story of a session's answers as in a
database that holds that schema alone, by both protocols, on both majors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.equivalence.corpus import Block, read_blocks
from tests.equivalence.run import run, table
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.schemas import load_schemas, schema_rules

BLOCKS = read_blocks(Path(__file__).parents[1] / "data" / "legit.sql")
LOGINS = {1: "acme", 2: "globex", 3: "initech"}


def in_schema(block: Block, schema: str) -> Block:
    """The block as an application has it whose tables are in this schema."""
    return replace(block, statements=tuple(one.replace("public", schema) for one in block.statements))


@pytest.fixture(scope="module")
def beside(server: Cluster) -> Cluster:
    return load_schemas(server)


@pytest.fixture(scope="module")
def proxy(beside: Cluster) -> Iterator[Proxy]:
    with running_proxy(beside.port, rules=schema_rules(beside.port, "beside")) as proxy:
        yield proxy


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("tenant", [1, 2, 3])
def test_every_block_answers_as_in_a_database_of_that_schema_alone(
    beside: Cluster, proxy: Proxy, tenant: int, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = LOGINS[tenant]
    private = partial(
        RawClient,
        "127.0.0.1",
        beside.port,
        f"{schema}_rw",
        f"apart{tenant}",
        options=f"-c search_path={schema},reference",
    )
    blocks = [in_schema(one, schema) for one in BLOCKS]
    outcomes = run(blocks, private, partial(proxy.connect, f"{schema}_app"), protocol)
    with capsys.disabled():
        print(f"\nPostgreSQL {beside.major}, schema {schema}, {protocol} protocol\n{table(outcomes)}")
    wrong = {one.block.id: (one.expected, one.seen) for one in outcomes if one.verdict != "equal"}
    assert wrong == {}
