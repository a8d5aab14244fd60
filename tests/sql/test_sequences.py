"""Which sequences may be used, and which name of the tenant's own stands in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.catalog.model import Column, Relation
from proxy.errors import Refusal
from proxy.sql.plan import KeyHole, LiteralHole, Template
from proxy.sql.sequences import check_sequence, draws, find_sequence, in_clients_words, mapped_call, own_numbers
from tests.sql.worlds import sample_policy

POLICY = replace(sample_policy(), sequences={("public", "all_no"): "shared", ("Sales", "own"): "per_tenant"})
PATH = ("public",)


def constant(text: str) -> dict[str, object]:
    return {"A_Const": {"sval": {"sval": text}}}


def refused(function: str, *args: dict[str, object]) -> str:
    try:
        check_sequence(function, list(args), POLICY, PATH, 7)
    except Refusal as refusal:
        return refusal.sqlstate
    return ""


def test_a_sequence_is_found_by_any_spelling_and_on_the_path_only() -> None:
    assert find_sequence("All_No", POLICY, PATH) == ("public", "all_no", "shared")
    assert find_sequence('"Sales".own', POLICY, PATH) == ("Sales", "own", "per_tenant")
    assert find_sequence("own", POLICY, PATH) is None
    assert find_sequence("sales.own", POLICY, PATH) is None


@pytest.mark.parametrize(
    ("function", "name", "code"),
    [
        ("nextval", "all_no", ""), ("setval", "all_no", "42501"), ("currval", "all_no", "0A000"),
        ("nextval", '"Sales".own', ""), ("setval", '"Sales".own', ""), ("currval", '"Sales".own', ""),
        ("nextval", "hidden", "42P01"), ("setval", "hidden", "42P01"), ("currval", "hidden", "42P01"),
    ],
)  # fmt: skip
def test_what_may_be_called_is_a_matter_of_the_rule(function: str, name: str, code: str) -> None:
    assert refused(function, constant(name)) == code


def test_without_a_constant_name_nothing_is_called() -> None:
    assert refused("nextval", {"ColumnRef": {}}) == "0A000"
    assert refused("nextval") == "0A000"
    assert refused("lastval") == "0A000"


def test_defaults_that_draw_from_an_own_sequence_are_known_by_their_text() -> None:
    columns = (
        Column(1, "a", 20, default="nextval('\"Sales\".own'::regclass)"),
        Column(2, "b", 20, default="nextval('public.all_no'::regclass)"),
        Column(3, "c", 20, default="(nextval('\"Sales\".own'::regclass) + 1)"),
        Column(4, "d", 20),
    )
    assert own_numbers(Relation(1, "public", "t", "r", columns=columns), POLICY, PATH) == (
        ("a", "$sequence Sales.own"),
    )  # fmt: skip


def test_a_call_is_mapped_for_own_sequences_alone() -> None:
    call = {"funcname": [{"String": {"sval": "setval"}}], "args": [constant('"Sales".own'), constant("7")]}
    mapped = mapped_call(call, POLICY, PATH)
    assert mapped is not None
    assert mapped["args"][0]["TypeCast"]["arg"]["A_Const"]["_hole"] == KeyHole("$sequence Sales.own")
    assert mapped["args"][1] == constant("7")
    assert mapped_call({**call, "args": [constant("all_no")]}, POLICY, PATH) is None
    assert mapped_call({**call, "args": []}, POLICY, PATH) is None


def test_a_text_that_names_an_own_sequence_draws() -> None:
    assert draws(Template((b"", b""), (KeyHole("$sequence a.b"),)))
    assert not draws(Template((b"", b"", b""), (KeyHole("default"), LiteralHole(0, "i"))))


def test_messages_name_the_sequence_that_the_client_knows() -> None:
    text = 'value 0 is out of bounds for sequence "own__t_0123456789abcdef" (1..9)'
    assert in_clients_words(text, POLICY) == 'value 0 is out of bounds for sequence "own" (1..9)'
    assert in_clients_words(text, sample_policy()) == text
