"""Names within values: constants and casts that would make the server look for a schema."""

from __future__ import annotations

import pytest

from proxy.sql.nodes import Nodes
from proxy.sql.plan import Forward
from proxy.sql.regs import check_reg, hides, touches_names, touches_roles
from tests.kit.postgres import Cluster
from tests.kit.schemas import Beside, beside_of
from tests.sql.worlds import one_statement


@pytest.fixture
def beside(server: Cluster) -> Beside:
    return beside_of(server)


def nodes(beside: Beside, text: str) -> Nodes:
    return Nodes(one_statement(beside.world, text).tree)


@pytest.mark.parametrize(
    ("text", "names", "roles"),
    [
        ("SELECT 'a.b'", False, False),
        ("SELECT note FROM orders WHERE note = 'globex.x'", False, False),
        ("SELECT 'a'::regclass", True, False),
        ("SELECT to_tsvector('english', 'a')", True, False),
        ("SELECT typname FROM pg_type", True, True),
        ("SELECT nspname FROM pg_namespace", False, True),
        ("SELECT ts_parse('default', 'a')", True, False),
        ("SELECT 'a'::aclitem", False, True),
    ],
)
def test_what_has_anything_of_such_a_type_is_looked_at(beside: Beside, text: str, names: bool, roles: bool) -> None:
    found = nodes(beside, text)
    assert (touches_names(found, beside.world), touches_roles(found, beside.world)) == (names, roles)


def test_a_text_is_suspect_if_a_part_of_it_may_name_a_hidden_schema(beside: Beside) -> None:
    world = beside.world
    for text in ("globex.x", '"globex" . x', "{a,globex.b}", '{"x": "GLOBEX.y"}', "nobody.x", 'x"y".z'):
        assert hides(text, world), text
    for text in ("", "orders", "acme.orders", "reference.names", "pg_catalog.pg_class", "1.5", "a*.b", ".x", "^(a.*)$"):
        assert not hides(text, world), text


@pytest.mark.parametrize(
    "text",
    [
        "SELECT NULL::pg_type",
        "SELECT NULL::pg_catalog._pg_class",
        "SELECT note::regconfig FROM orders",
        "SELECT ARRAY[note]::regclass[] FROM orders",
        "SELECT note::aclitem FROM orders",
        "SELECT ts_parse(note, 'a') FROM orders",
        "SELECT jsonb_populate_record(t, '{}') FROM pg_type t",
    ],
)
def test_what_is_computed_becomes_no_name(beside: Beside, text: str) -> None:
    assert beside.refused(text)[0] == "0A000"


def test_parameters_are_looked_at_when_they_are_bound(beside: Beside) -> None:
    checks, looked_at = check_reg(nodes(beside, "SELECT typname FROM pg_type WHERE typinput = $2"), beside.world)
    assert looked_at
    assert {(one.parameter, one.kind) for one in checks} == {(2, "regclass"), (2, "aclitem")}
    assert check_reg(nodes(beside, "SELECT $1::int"), beside.world) == ((), False)


def test_no_constant_that_was_looked_at_is_left_out_of_the_plan(beside: Beside) -> None:
    plan = beside.plan("SELECT typname FROM pg_type WHERE typinput = 'textin' AND typlen = 1")
    assert isinstance(plan, Forward)
    assert b"'textin'" in b"?".join(plan.template.pieces)
    plan = beside.plan("SELECT id FROM orders WHERE note = 'textin'")
    assert isinstance(plan, Forward)
    assert b"textin" not in b"?".join(plan.template.pieces)
