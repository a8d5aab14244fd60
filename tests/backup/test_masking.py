"""A masking file is taken whole, or every mistake is told with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.backup.masking import Constant, Fake, json_schema, read_masking
from proxy.errors import ConfigurationError

WHOLE = """\
tables:
  customers: {id: keep, name: {fake: name}, email: hash, note: null, other: "null", state: {set: "{}"}, n: {set: 0}}
  sales.orders: {"Odd Name": keep}
"""


def test_a_file_says_what_becomes_of_each_column(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(WHOLE, "utf-8")
    found = read_masking(tmp_path / "m.yaml", {})
    assert found.unlisted == "refuse"
    assert found.tables["customers"] == {
        "id": "keep", "name": Fake(fake="name"), "email": "hash", "note": "null", "other": "null",
        "state": Constant(set="{}"), "n": Constant(set=0),
    }  # fmt: skip
    assert found.tables["sales.orders"] == {"Odd Name": "keep"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tables:\n  a:\n    b: hide\n", "3: a: b: must be keep, null, hash, {fake: KIND} or {set: VALUE}"),
        ("tables:\n  a:\n    b: {fake: passport}\n", "3: a: b: fake must be one of name, first_name, "),
        ("tables:\n  a:\n    b: {fake: name, set: x}\n", "3: a: b: must be keep, null"),
        ("tables:\n  a:\n    b: {set: 1.5}\n", "3: a: b: set must be a text or an integer"),
        ("tables:\n  a: {b: keep}\nunlisted: mask\n", "3: unlisted: Input should be 'refuse' or 'keep'"),
        ("tables: {}\nother: 1\n", "2: other: unknown key"),
        ("unlisted: keep\n", "1: tables: Field required"),
        ("tables:\n  a.b.c: {d: keep}\n", "1: tables: 'a.b.c' is not the name of a relation"),
        ("tables:\n  a: {b: keep}\n  a: {b: hash}\n", "3: duplicate key a"),
        ("tables:\n  a: {b: keep, b: hash}\n", "2: duplicate key b"),
        ("- a\n", "1: the file must be one document, a mapping"),
        ("tables: {}\n---\ntables: {}\n", "1: the file must be one document, a mapping"),
        ("tables: {", "did not find expected"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "m.yaml").write_text(text, "utf-8")
    with pytest.raises(ConfigurationError) as refused:
        read_masking(tmp_path / "m.yaml", {})
    assert any(told in one for one in refused.value.problems), refused.value.problems
    assert all(one.startswith(f"{tmp_path}/m.yaml:") for one in refused.value.problems)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_masking(tmp_path / "none", {})


def test_the_schema_names_what_a_file_may_hold() -> None:
    assert json_schema()["properties"].keys() == {"unlisted", "tables"}
