"""What is sent is what the client wrote, statement by statement, and nothing of a text runs where one is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from proxy.sql.copied import CopyIn, CopyOut
from proxy.sql.plan import Answer, AnswerKind, Forward, Plan, PlanContext, Reject
from proxy.sql.planner import Planner
from tests.sql.whole.conftest import POLICY, own_catalog

Plans = Callable[..., tuple[Plan, ...]]


def test_the_text_is_sent_as_it_came(plans: Plans) -> None:
    text = "/* a */ SELECT  1.50, 'ä' , $$x$$ -- why\n ;"
    (plan,) = plans(text)
    assert isinstance(plan, Forward)
    assert plan.template.pieces == (text.encode(),)
    assert (plan.begins, plan.rewritten) == (0, False)


def test_of_several_statements_each_knows_where_it_stands(plans: Plans) -> None:
    found = plans("SELECT 'ä' -- one;\n; SELECT 2;;")
    assert [one.template.pieces[0] for one in found if isinstance(one, Forward)] == [
        "SELECT 'ä' -- one;\n".encode(),
        b"SELECT 2",
    ]
    assert [one.begins for one in found if isinstance(one, Forward)] == [0, 21]


def test_an_empty_text_is_answered(plans: Plans) -> None:
    (plan,) = plans(" -- nothing")
    assert isinstance(plan, Answer)
    assert plan.answer is AnswerKind.EMPTY


def test_refusals_are_plans(plans: Plans) -> None:
    for text, sqlstate in (("SELEC 1", "42601"), ("SELECT 1; LOAD 'x'", "42501"), ("SELECT '\0'", "22021")):
        refused = [one for one in plans(text) if isinstance(one, Reject)]
        assert [one.sqlstate for one in refused] == [sqlstate]
    (plan,) = plans("SELECT 1; SELECT 2", extended=True)
    assert isinstance(plan, Reject)


def test_rows_of_copy_go_on_as_they_are(plans: Plans) -> None:
    (into,), (out,) = plans("COPY t FROM STDIN (FORMAT binary)"), plans("COPY t TO STDOUT")
    assert isinstance(into, Forward)
    assert isinstance(into.copy, CopyIn)
    assert into.copy.supplied == ""
    assert isinstance(out, Forward)
    assert isinstance(out.copy, CopyOut)


def test_a_plan_of_one_mode_is_never_found_in_another() -> None:
    planner = Planner(own_catalog(), 1 << 20)
    own, row = PlanContext(POLICY, 1), PlanContext(replace(POLICY, isolation="row", policy_class="row"), 1)
    text = b"SELECT 1"
    planner.plan(text, own)
    assert planner.lookup(text, own) is not None
    assert planner.lookup(text, row) is None


def test_texts_that_differ_in_a_literal_or_a_blank_have_plans_of_their_own() -> None:
    planner = Planner(own_catalog(), 1 << 20)
    context = PlanContext(POLICY, 1)
    planner.plan(b"SELECT  1", context)
    for text in (b"SELECT 1", b"SELECT  2"):
        assert planner.lookup(text, context) is None
    found = planner.lookup(b"SELECT  1", context)
    assert found is not None
    assert isinstance(found.plans[0], Forward)
    assert found.plans[0].template.pieces == (b"SELECT  1",)
