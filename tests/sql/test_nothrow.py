"""The table of silence speaks of types by name, and of nothing that was not tried."""

from __future__ import annotations

import pytest

from proxy.sql.nothrow import entries, listed_name, never_throws
from proxy.sql.world import World


@pytest.mark.parametrize(
    "entry",
    ["= int4 int8", "< date timestamptz", "~~ name text", "@> _text _text", "? jsonb text", "<> anyenum anyenum"],
)
def test_what_was_tried_is_listed(entry: str) -> None:
    assert never_throws(*entry.split())


@pytest.mark.parametrize(
    "entry",
    ["= numeric float8", "= int4 text", "~~ bpchar text", "@> numrange numrange", "= json json", "/ int4 int4",
     "#> jsonb _text", "lower bpchar", "= inet cidr", "~ text text"],
)  # fmt: skip
def test_what_may_throw_or_was_not_tried_is_not(entry: str) -> None:
    assert not never_throws(*entry.split())


def test_types_go_by_the_name_of_what_is_below_them(world: World) -> None:
    catalog = world.catalog
    status = catalog.types_by_name["public", "order_status"]
    assert listed_name(catalog, 23) == "int4"
    assert listed_name(catalog, 1009) == "_text"
    assert listed_name(catalog, status.oid) == "anyenum"
    assert listed_name(catalog, status.array) == "_anyenum"
    assert listed_name(catalog, catalog.types_by_name["public", "orders"].oid) == ""


def test_what_runs_besides_comparisons_is_this() -> None:
    """One more function here has to be thought about: it runs on rows of every tenant."""
    others = {
        function.partition("(")[0]
        for entry, functions in entries().items()
        if not entry.startswith(("= ", "<> ", "< ", "<= ", "> ", ">= "))
        for function in functions
    }
    likes = {"textlike", "textnlike", "texticlike", "texticnlike", "namelike", "namenlike", "nameiclike", "nameicnlike"}
    texts = {"lower", "upper", "length", "char_length", "octet_length", "text"}
    arrays = {"arraycontains", "arraycontained", "arrayoverlap"}
    ranges = {"range_contains", "range_contained_by", "range_overlaps"}
    documents = {"jsonb_array_element", "jsonb_object_field", "jsonb_array_element_text", "jsonb_object_field_text"}
    documents |= {"jsonb_exists", "jsonb_contains", "ts_match_vq"}
    assert others == likes | texts | arrays | ranges | documents
