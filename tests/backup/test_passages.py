"""Every table has its counterpart with the same columns, or it is told what is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.backup.passages import FIRST_OF_USERS, Homes, paired
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept
from proxy.catalog.model import Column, Key, Relation

TYPES = {(23, -1): "integer", (25, -1): "text"}


def column(number: int, name: str, kind: int = 23, **more: object) -> Column:
    return replace(Column(number, name, kind, not_null=True), **more)  # type: ignore[arg-type]  # as the test says


def kept(name: str, *columns: Column, key: tuple[int, ...] = (1, 2)) -> Kept:
    keys = (Key("pk", "p", key),) if key else ()
    return Kept(Relation(1, "public", name, "r", columns=columns, keys=keys), columns, columns[0], "default")


TENANT, ID, NAME = column(1, "tenant_id"), column(2, "id"), column(3, "name", 25)


def test_a_table_is_paired_by_name_and_its_rows_by_their_key() -> None:
    (one,) = paired((kept("t", TENANT, ID, NAME),), (kept("t", TENANT, NAME, ID),), TYPES, TYPES)
    assert (one.title, one.columns, one.width) == ("t", ("tenant_id", "id", "name"), 2)
    assert one.key == (("tenant_id", "integer"), ("id", "integer"))
    assert not one.registers
    (whole,) = paired((kept("t", TENANT, ID, key=()),), (kept("t", TENANT, ID),), TYPES, TYPES)
    assert (whole.key, whole.width) == ((), 1)
    (registry,) = paired((kept("t", TENANT, key=(1,)),), (kept("t", TENANT, key=(1,)),), TYPES, TYPES)
    assert registry.registers


def test_everything_that_does_not_fit_is_told() -> None:
    here = (kept("gone", TENANT, ID), kept("t", TENANT, ID, NAME, column(4, "more")))
    there = (kept("t", replace(TENANT, name="tenant"), ID, replace(NAME, type=23), column(5, "needed")),)
    with pytest.raises(Refused) as refused:
        paired(here, there, TYPES, TYPES)
    assert refused.value.problems == [
        '"public"."gone" is no table of the tenant at the target',
        '"public"."t" has no column "tenant_id" at the target that could be given a value',
        '"public"."t"."name" is integer at the target, text here',
        '"public"."t" has no column "more" at the target that could be given a value',
        '"public"."t"."tenant" must have a value at the target, and there is none here',
        '"public"."t"."needed" must have a value at the target, and there is none here',
        '"public"."t" has another tenant column at the target',
    ]


INTO = Homes("public", "acme", shared_there=False)
OUT_OF = Homes("acme", "public", shared_here=False)


def own(one: Kept, schema: str = "acme") -> Kept:
    """The table as the tenant's own."""
    return replace(one, relation=replace(one.relation, schema=schema), column=None, key=None)


def test_the_first_schema_of_the_path_is_the_same_place_at_both_ends() -> None:
    mood, here, there = FIRST_OF_USERS, {**TYPES}, {**TYPES}
    here[mood, -1], there[mood, -1] = "public.mood", "acme.mood"
    default = replace(TENANT, default="2")
    shared, alone = kept("t", TENANT, ID, column(3, "felt", mood)), own(kept("t", default, ID, column(3, "felt", mood)))
    (one,) = paired((shared,), (alone,), here, there, INTO)
    assert (one.source.at, one.target.at, one.claimed) == (("public", "t"), ("acme", "t"), "")
    late = own(kept("t", ID, TENANT, column(3, "felt", mood)))
    (back,) = paired((late,), (shared,), there, here, OUT_OF)
    assert (back.columns, back.claimed) == (("tenant_id", "id", "felt"), "integer")
    assert [name for name, _ in back.key] == ["tenant_id", "id"]
    (whole,) = paired((own(kept("t", ID, TENANT, column(3, "felt", mood), key=(3,))),), (shared,), there, here, OUT_OF)
    assert whole.key == ()  # a type of the tenant's may have casts that run its code
    twice = (shared, replace(shared, relation=replace(shared.relation, schema="acme")))
    with pytest.raises(Refused, match=r'"acme"\."t" is no table of the tenant at the target'):
        paired(twice, (alone,), here, here | there, INTO)


def test_what_only_one_of_two_modes_needs_is_told() -> None:
    shared, bare = kept("t", TENANT, ID), own(kept("t", TENANT, ID, column(3, "more", default="f()")))
    with pytest.raises(Refused) as refused:
        paired((shared,), (bare,), TYPES, TYPES, INTO)
    assert refused.value.problems == [
        '"public"."t" has no column "more", and "acme"."t" has',
        '"acme"."t"."tenant_id" must have the tenant\'s key as its default: here statements need not give it',
    ]
    with pytest.raises(
        Refused, match=r'"acme"\."t" has no column "tenant_id", which says whose a row is at the target'
    ):
        paired((own(kept("t", ID)),), (shared,), TYPES, TYPES, OUT_OF)
