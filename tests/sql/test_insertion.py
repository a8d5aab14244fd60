"""What a COPY FROM behind row-level security is sent as: an INSERT that is proved, and rows that repeat it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.sql.copied import CopyIn, Insertion
from proxy.sql.insertion import APART, insertion, require_proved, with_parts
from proxy.sql.plan import Forward, KeyHole, Reject, Template
from proxy.sql.planner import Planner
from proxy.sql.render import fill
from proxy.wire.copyfields import Shape
from tests.kit.postgres import Cluster
from tests.kit.rls import rls_catalog, rls_context
from tests.sql.worlds import keys_of


def planned(server: Cluster, text: str) -> tuple[str, Forward | Reject]:
    """What is proved for tenant 1, and the plan, in row mode with a second wall."""
    context = rls_context(server, "row+rls")
    planner = Planner(rls_catalog(server.port), 1 << 20)
    made = planner.plan(text.encode(), context)
    (plan,) = made.plans
    assert isinstance(plan, Forward | Reject)
    return "".join(planner.explain_text(made, keys_of(1))), plan


def of(plan: Forward | Reject) -> Insertion:
    assert isinstance(plan, Forward)
    assert isinstance(plan.copy, CopyIn)
    assert plan.copy.insert is not None
    return plan.copy.insert


def test_rows_without_the_tenant_column_get_it(postgres15: Cluster) -> None:
    text, plan = planned(postgres15, "COPY notes (id, body) FROM STDIN")
    assert text == (
        "INSERT INTO public.notes (id, body, tenant) VALUES "
        "($1, $2, 'acme'::pg_catalog.text), ($3, $4, 'acme'::pg_catalog.text)"
    )
    made = of(plan)
    head, first, second, last, tail = b"|".join(made.parts.pieces).split(APART)
    assert (first, second, last, tail) == (b"(", b", ", b", |::pg_catalog.text)", b"")
    assert head == b"INSERT INTO public.notes (id, body, tenant) VALUES "
    assert made.parts.holes == (KeyHole("slug"),)
    assert (made.order, made.lone, made.checks) == ((0, 1), frozenset({0, 1}), ())


def test_rows_with_the_tenant_column_are_asked_for_it(postgres15: Cluster) -> None:
    _, plan = planned(postgres15, "COPY orders (tenant_id, id, note) FROM STDIN CSV HEADER")
    made = of(plan)
    assert [(one.table, one.value) for one in made.checks] == [("orders", 1)]
    assert made.lone == {1, 2}
    assert made.shape.header == "skip"
    assert isinstance(plan, Forward)
    assert plan.checks == ()


def test_a_condition_is_asked_of_the_rows(postgres15: Cluster) -> None:
    text, plan = planned(postgres15, "COPY notes (id, body) FROM STDIN WHERE id > 1 AND body <> 'x'")
    assert text.endswith("FROM (VALUES ($1, $2), ($3, $4) OFFSET 0) notes(id, body) WHERE id > 1 AND body <> 'x'")
    assert of(plan).parts.pieces[-1] == b""


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        ("COPY notes (id, body) FROM STDIN WHERE created > now()", "42703"),
        ("COPY notes (id) FROM STDIN WHERE body = 'x'", "0A000"),
        ("COPY notes (id) FROM STDIN WHERE id = (SELECT 1)", "0A000"),
        ("COPY notes (id) FROM STDIN WHERE pg_advisory_lock(7) IS NOT NULL", "0A000"),
        ("COPY notes (id) FROM STDIN WHERE pg_notify('a', 'b') IS NOT NULL", "0A000"),
        ("COPY notes (id) FROM STDIN WHERE setseed(0.5) IS NOT NULL", "0A000"),
        ("COPY notes (id) FROM STDIN WHERE set_config('work_mem', '1MB', false) IS NOT NULL", "42501"),
        ("COPY notes (id) FROM STDIN (ON_ERROR ignore)", "42601"),
        ("COPY accounts (id, owner) FROM STDIN", "0A000"),
        ("COPY products (id) FROM STDIN", "42501"),
        ("COPY open_orders FROM STDIN", "42809"),
    ],
)
def test_what_cannot_be_inserted_is_refused(postgres15: Cluster, text: str, sqlstate: str) -> None:
    _, plan = planned(postgres15, text)
    assert isinstance(plan, Reject)
    assert plan.sqlstate == sqlstate


def test_a_column_whose_name_looks_like_a_parameter_is_a_column() -> None:
    shape = Shape(("a$1",))
    one = Template((b"INSERT INTO t (a$1, \"$1\") VALUES ($1, '$1'::text)",))
    two = Template((b"INSERT INTO t (a$1, \"$1\") VALUES ($1, '$1'::text), ($2, '$1'::text)",))
    assert insertion(one, two, (25,), shape, ()).parts.pieces == (
        b"INSERT INTO t (a$1, \"$1\") VALUES \0(\0, '$1'::text)\0",
    )


def test_rows_that_are_not_alike_are_a_bug() -> None:
    one, two = Template((b"VALUES ($1)",)), Template((b"VALUES ($1), ($3)",))
    with pytest.raises(AssertionError, match="not alike"):
        insertion(one, two, (25,), Shape(("a",)), ())


MARKS = (
    "'\x01{}\x02'", "E'\\x01{}\\x02'", "U&'\\0001{}\\0002'", "'\\0{}\\0'", "E'\\\\0{}\\\\0'", "'\x1f{}\x1f'",
    "'\ufdd0{}\ufdd1'", "'\\x00{}\\x00'", "E'\\001{}\\002'",
)  # fmt: skip
"""Constants that hold what might mark a hole, each with the number of one."""


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("mark", MARKS)
def test_a_constant_that_looks_like_a_mark_stays_a_constant(postgres15: Cluster, mark: str, number: int) -> None:
    condition = f"id > 0 AND body LIKE {mark.format(number)} AND body <> ' OR $1 OR body = '"
    planner = Planner(rls_catalog(postgres15.port), 1 << 20)
    made = planner.plan(
        f"COPY notes (id, body) FROM STDIN WHERE {condition}".encode(), rls_context(postgres15, "row+rls")
    )
    (plan,) = made.plans
    assert isinstance(plan, Forward)
    insert = of(plan)
    assert with_parts(insert, 2) == plan.template
    head, first, second, last, tail = fill(insert.parts, keys_of(1), made.literals).split(APART)
    rows = b", ".join(first + b"$%d" % at + second + b"$%d" % (at + 1) + last for at in (1, 3))
    assert head + rows + tail == fill(plan.template, keys_of(1), made.literals)


def test_parts_that_do_not_make_what_was_proved_are_a_bug(postgres15: Cluster) -> None:
    _, plan = planned(postgres15, "COPY notes (id, body) FROM STDIN WHERE body LIKE 'a%' AND body <> 'x'")
    insert = of(plan)
    assert isinstance(plan, Forward)
    assert isinstance(plan.copy, CopyIn)
    require_proved(plan.copy, plan.template)
    parts = insert.parts
    other = (
        Template((*parts.pieces[:-1], parts.pieces[-1] + b" OR true"), parts.holes),
        Template(parts.pieces, tuple(KeyHole("other") for _ in parts.holes)),
        Template((parts.pieces[0] + APART, *parts.pieces[1:]), parts.holes),
    )
    for one in other:
        changed = replace(plan.copy, insert=replace(insert, parts=one))
        with pytest.raises(AssertionError):
            require_proved(changed, plan.template)


def test_a_text_with_a_nul_is_a_bug() -> None:
    one, two = Template((b"VALUES ($1) -- \0000\0",)), Template((b"VALUES ($1), ($2) -- \0000\0",))
    with pytest.raises(AssertionError, match="NUL"):
        insertion(one, two, (25,), Shape(("a",)), ())
