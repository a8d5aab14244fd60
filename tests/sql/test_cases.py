"""Golden decisions: what becomes of one statement of every kind, as `partywall explain` prints it; each is executed.

A file of cases/ is a list of statement, line of dashes, decision, line of equals signs. A change that is meant is
written down by PARTYWALL_UPDATE_GOLDENS=1; the difference is then read in the review. Object identifiers are left out:
a server counts them in the order in which its tests made their objects.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.catalog.model import Catalog
from proxy.cli.explain import described, explained
from proxy.sql.plan import StatementKind
from proxy.tenancy.load import load
from proxy.tenancy.policy import Grant
from tests.equivalence.compare import observe
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rules import write_sample_rules
from tests.sql.worlds import sample_catalog

CASES = Path(__file__).with_name("cases")
FILES = sorted(CASES.glob("*.txt"))
ASKED, END = "----\n", "====\n"
OIDS = re.compile(r"'\{\d+(,\d+)*\}'::pg_catalog\.oid")

# What must come before, in a session that has done nothing yet. Everything else runs inside a transaction.
BEFORE = {
    "BEGIN ISOLATION LEVEL SERIALIZABLE": (),
    "SAVEPOINT s": ("BEGIN",),
    "ROLLBACK TO s": ("BEGIN", "SAVEPOINT s"),
    "DISCARD ALL": (),
    "FETCH FORWARD 2 FROM c": ("BEGIN", "DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id"),
    "CLOSE c": ("BEGIN", "DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id"),
    "EXECUTE p (3, 'paid')": ("PREPARE p (int, text) AS SELECT id FROM orders WHERE id > $1 AND status::text = $2",),
}
# Where a tenant sees less of the catalogs than a private database shows: what is there, and what is not.
LESS = {
    "SELECT relname, reltuples FROM pg_class WHERE relname = 'orders'": ("(b'orders', b'-1')", "b'21'"),
    "SELECT table_name FROM information_schema.tables": ("(b'orders',)", "(b'leaky_stats',)"),
    "SELECT usename FROM pg_stat_activity": ("(b'app',)", "(b'postgres',)"),
    "SELECT datname FROM pg_database": ("(b'shared',)", "(b'postgres',)"),
    "SELECT proname FROM pg_proc WHERE proname IN ('starts_with', 'pg_read_binary_file')": (
        "(b'starts_with',)",
        "(b'pg_read_binary_file',)",
    ),
}


def cases(file: Path) -> list[tuple[str, str]]:
    """(statement, decision) in order."""
    found = []
    for part in file.read_text(encoding="utf-8").split(END)[:-1]:
        statement, _, decision = part.partition(ASKED)
        found.append((statement, decision))
    return found


@pytest.fixture(scope="module")
def catalog(sample_port: int) -> Catalog:
    return sample_catalog(sample_port)


@pytest.fixture
def grant(tmp_path: Path, sample_port: int) -> Grant:
    write_sample_rules(tmp_path, sample_port, "shared")
    book = load(tmp_path, {}, 1)
    login = book.login("acme_app")
    assert login is not None
    found = book.grant(login, "shared")
    assert found is not None
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda one: one.stem)
def test_every_statement_becomes_what_was_written_down(file: Path, catalog: Catalog, grant: Grant) -> None:
    made = []
    for statement, _ in cases(file):
        decisions = explained(catalog, grant, 1, statement.rstrip("\n"))
        told = "\n".join("\n".join(described(decision, plan)) for decision, plan in decisions)
        made.append((statement, OIDS.sub("'{…}'::pg_catalog.oid", told) + "\n"))
    if os.environ.get("PARTYWALL_UPDATE_GOLDENS") == "1":
        file.write_text("".join(one + ASKED + told + END for one, told in made), encoding="utf-8")
    assert made == cases(file)


def test_every_kind_of_statement_has_a_case() -> None:
    text = "".join(told for file in FILES for _, told in cases(file))
    kinds = {one for one in StatementKind if f"({one.value})" in text}
    # What a client sends as nothing.
    assert set(StatementKind) - kinds == {StatementKind.EMPTY}


@pytest.fixture(scope="module")
def proxy(sample_port: int) -> Iterator[Proxy]:
    with running_proxy(sample_port) as running:
        yield running


def played(client: RawClient, statement: str) -> tuple[str, list[dict[str, str]]]:
    """All that one statement answers, for comparison, with the database's name as the application knows it; its
    errors.
    """
    with client:
        for one in BEFORE.get(statement, ("BEGIN",)):
            assert client.simple(one).errors == []
        told = client.simple(statement)
    return repr(observe(told, ordered=False)).replace("private1", "shared"), told.errors


EXECUTED = [(statement.rstrip("\n"), decision) for file in FILES for statement, decision in cases(file)]


@pytest.mark.parametrize(("statement", "decision"), EXECUTED)
def test_every_statement_is_executed_as_it_was_decided(
    proxy: Proxy, sample_port: int, statement: str, decision: str
) -> None:
    """A refusal is the error that explain shows. The rest answers what the private database would."""
    seen, errors = played(proxy.connect("acme_app"), statement)
    if "decision:  reject" in decision:
        (error,) = errors
        lines = {f"error:     {error['C']} {error['M']}"}
        lines |= {
            f"{name + ':':<11}{error[letter]}"
            for name, letter in (("detail", "D"), ("hint", "H"), ("position", "P"))
            if letter in error
        }
        told = {line for line in decision.splitlines() if not line.startswith(("decision:", "rules:", "effects:"))}
        assert lines == told
        return
    private, _ = played(RawClient("127.0.0.1", sample_port, "app", "private1"), statement)
    assert errors == []
    if statement in LESS:
        there, absent = LESS[statement]
        assert there in seen
        assert absent in private
        assert absent not in seen
    else:
        assert seen == private
