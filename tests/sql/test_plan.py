"""Plans are values: they say whether a text may run, and a context's identity says who may share them."""

from __future__ import annotations

from dataclasses import replace

from proxy.sql.plan import Answer, AnswerKind, Forward, PlanContext, Planned, Reject, StatementKind, Template
from proxy.tenancy.policy import Policy

FORWARD = Forward(StatementKind.SELECT, Template((b"SELECT 1",)))
ANSWER = Answer(StatementKind.DISCARD, AnswerKind.DISCARD_ALL)
REJECT = Reject(StatementKind.DDL, "42501", "no")
POLICY = Policy("shared", "row", "tenant_id", {}, policy_class="one")
CONTEXT = PlanContext(POLICY, 1, ("public",), "app")


def test_one_refused_statement_refuses_the_whole_text() -> None:
    assert Planned((FORWARD, ANSWER)).rejection is None
    assert Planned((FORWARD, REJECT, FORWARD)).rejection is REJECT


def test_every_part_of_a_context_tells_contexts_apart() -> None:
    others = [
        replace(CONTEXT, policy=replace(POLICY, policy_class="two")),
        replace(CONTEXT, catalog_version=2),
        replace(CONTEXT, search_path=("private", "public")),
        replace(CONTEXT, role="other"),
    ]
    identities = {CONTEXT.identity, *(one.identity for one in others)}
    assert len(identities) == 1 + len(others)


def test_tenants_of_one_policy_class_share_their_plans() -> None:
    again = replace(CONTEXT, policy=replace(POLICY))
    assert again.identity == CONTEXT.identity


def test_an_answered_statement_carries_the_tag_that_the_server_would_send() -> None:
    assert {one.value for one in AnswerKind} == {
        "RESET", "DISCARD ALL", "DEALLOCATE", "LISTEN", "UNLISTEN", "PREPARE", "SELECT 1", "",
    } | {AnswerKind.DEALLOCATE_ALL.value}  # fmt: skip
