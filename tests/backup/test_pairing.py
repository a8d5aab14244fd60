"""Tables are the same by schema and name, columns by name; what is not alike is told."""

from __future__ import annotations

from proxy.backup.pairing import paired


def test_tables_and_columns_are_paired_and_what_is_not_alike_is_told() -> None:
    here = {("public", "t"): {"a": "integer", "b": "text", "c": "date"}, ("s", "gone"): {"a": "integer"}}
    there = {("public", "t"): {"c": "date", "d": "text", "a": "bigint"}, ("public", "new"): {}}
    new, table, gone = paired(here, there)
    sides = ("here", "there")
    assert (new.title, new.both, new.unlike(sides)) == ("new", False, ("the table is only there",))
    assert (gone.title, gone.both, gone.unlike(sides)) == ("s.gone", False, ("the table is only here",))
    assert (table.title, table.both, table.common) == ("t", True, ("a", "c"))
    assert table.unlike(sides) == ("b is only here", "d is only there", "a is integer here, bigint there")
    (same,) = paired({("public", "t"): {"a": "integer"}}, {("public", "t"): {"a": "integer"}})
    assert same.unlike(sides) == ()
