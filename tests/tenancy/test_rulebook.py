"""The rule book: the login alone says whose grant it is, and a class is a class of every field."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from proxy.auth.scram import build_verifier, parse_verifier
from proxy.tenancy.policy import FunctionRule, Login, Policy, RelationRule
from proxy.tenancy.rulebook import RuleBook, classified, usual_iterations

POLICY = Policy("shop", "row", "tenant_id", {})

OTHERS: dict[str, object] = {
    "database": "other",
    "isolation": "rls",
    "tenant_column": "org_id",
    "relations": {("public", "jobs"): RelationRule("public", "jobs", "hidden")},
    "functions": (FunctionRule("public", "slugify"),),
    "sequences": {("public", "n"): "shared"},
    "extensions": ("citext",),
    "explain": "allowed",
    "read_only": True,
    "statement_size": 5,
    "statement_nesting": 5,
    "schema": "acme",
    "shared_schemas": ("reference",),
    "second_wall": True,
    "own_schemas": frozenset({"hooli", "acme"}),
    "own_roles": frozenset({"hooli_rw", "acme_rw"}),
}


@pytest.mark.parametrize("name", [one.name for one in fields(Policy) if one.name != "policy_class"])
def test_a_policy_that_differs_in_any_field_is_of_another_class(name: str) -> None:
    """A new field comes with its value here; without one, plans could be shared across it."""
    other = replace(POLICY, **{name: OTHERS[name]})  # type: ignore[arg-type]  # fields by name
    assert classified(other).policy_class != classified(POLICY).policy_class


def test_equal_policies_are_of_one_class_whatever_the_order() -> None:
    rules = {("public", name): RelationRule("public", name, "shared") for name in ("a", "b")}
    one, other = replace(POLICY, relations=rules), replace(POLICY, relations=dict(reversed(rules.items())))
    assert classified(one) == classified(other)
    assert classified(classified(one)) == classified(one)


def test_a_login_that_is_not_there_is_none() -> None:
    book = RuleBook(1, {}, {}, (), ())
    assert book.login("acme_app") is None


def test_a_login_that_does_not_exist_has_as_many_iterations_as_most_that_do() -> None:
    def of(*counts: int) -> int:
        verifiers = [parse_verifier(build_verifier("x", b"0123456789abcdef", count)) for count in counts]
        return usual_iterations([*(Login("a", "acme", one) for one in verifiers), Login("b", "acme", None)])

    assert of() == 4096
    assert of(10, 20, 20) == 20
    assert of(20, 10) == 10
