"""Plans are values: they say whether a text may run, and a context's identity says who may share them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from proxy.sql.copied import CopyOut
from proxy.sql.plan import (
    Answer,
    AnswerKind,
    CursorEffect,
    Effects,
    Execution,
    Forward,
    KeyCheck,
    NameCheck,
    PlanContext,
    Planned,
    Preparation,
    Reject,
    SettingEffect,
    StatementKind,
    Template,
    Temporary,
    TransactionVerb,
)
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


# What each effect asks of the session: "before" the statement is sent, "after" it has completed, or nothing by itself.
JUDGED: dict[str, tuple[str, Any]] = {
    "transaction": ("after", TransactionVerb.BEGIN), "savepoint": ("", "a"), "chain": ("", True), "writes": ("", True),
    "grows": ("", True),
    "settings": ("before", (SettingEffect("a", "1"),)), "pins": ("after", "why"), "taints": ("after", True),
    "block": ("before", "LOCK TABLE"), "unlistens": ("after", True), "notifies": ("before", True),
    "draws": ("before", True), "fresh": ("before", True), "positioned": ("before", "c"), "unpins": ("after", ("why",)),
    "declares": ("before", CursorEffect("c", False)), "closes": ("after", ""), "drops": ("after", ("t",)),
    "creates": ("before", Temporary("t", ())), "prepares": ("before", Preparation("p", (), FORWARD)),
    "executes": ("before", Execution("p")), "resets": ("after", True), "discards": ("after", True),
}  # fmt: skip


@pytest.mark.parametrize("one", [one.name for one in fields(Effects)])
def test_every_effect_is_judged_for_the_short_way(one: str) -> None:
    asks, value = JUDGED[one]
    plan = replace(FORWARD, effects=replace(FORWARD.effects, **{one: value}))
    assert (plan.plain, plan.quiet) == (asks != "before", asks == "")


def test_what_a_plan_says_besides_its_effects_is_judged_as_well() -> None:
    assert (FORWARD.plain, FORWARD.quiet) == (True, True)
    for tag in ("", "LOCK TABLE"):
        plan = replace(FORWARD, tag=tag)
        assert (plan.plain, plan.quiet) == (True, False)
    checks, names = (KeyCheck("t", "default", 23, 1),), (NameCheck(1, "regclass", True),)
    for plan in (replace(FORWARD, checks=checks), replace(FORWARD, names=names), replace(FORWARD, copy=CopyOut())):
        assert (plan.plain, plan.quiet) == (False, False)
    judged = {"kind", "template", "effects", "tag", "checks", "copy", "names", "plain", "quiet", "restore"}
    nothing = {"rewritten", "rules", "positions", "fenced", "tells_text", "begins", "shift", "reads", "counted"}
    assert {one.name for one in fields(Forward)} == judged | nothing
