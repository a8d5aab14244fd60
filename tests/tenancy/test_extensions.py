"""Reviewed extensions become function rules that hold for the extension's own functions only."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.tenancy.extensions import reviewed, rules_of
from proxy.tenancy.load import load
from proxy.tenancy.policy import FunctionRule
from tests.kit.rules import sample_rules


def rules(folder: Path, line: str) -> Path:
    text = sample_rules(1, "shared")
    (folder / "rules.yaml").write_text(text.replace("isolation: row\n", f"isolation: row\n{line}\n", 1))
    return folder


def test_these_are_reviewed_and_nothing_else_can_be_listed(tmp_path: Path) -> None:
    assert reviewed() == {"citext", "pg_trgm", "hstore", "uuid-ossp", "pgcrypto", "vector", "postgis"}
    with pytest.raises(ConfigurationError, match="dblink was not reviewed; known are citext, hstore"):
        load(rules(tmp_path, "extensions: [citext, dblink]"), {}, 1)


def test_what_is_listed_is_a_rule_with_its_types_and_its_extension(tmp_path: Path) -> None:
    book = load(rules(tmp_path, "extensions: [pgcrypto]"), {}, 1)
    policy = next(iter(book.grants.values())).policy
    assert FunctionRule("public", "digest", ("bytea", "text"), "pgcrypto") in policy.functions
    assert FunctionRule("public", "gen_random_uuid", (), "pgcrypto") in policy.functions
    assert policy.extensions == ("pgcrypto",)


def test_the_order_and_repetition_of_names_makes_no_other_policy(tmp_path: Path) -> None:
    (one, other) = (tmp_path / "a", tmp_path / "b")
    one.mkdir()
    other.mkdir()
    first = load(rules(one, "extensions: [hstore, citext]"), {}, 1)
    second = load(rules(other, "extensions: [citext, hstore, citext]"), {}, 1)
    classes = {grant.policy.policy_class for book in (first, second) for grant in book.grants.values()}
    assert len(classes) == len({grant.policy.policy_class for grant in first.grants.values()})


@pytest.mark.parametrize(
    ("extension", "name"),
    [
        ("hstore", "populate_record"), ("pg_trgm", "set_limit"), ("postgis", "st_estimatedextent"),
        ("postgis", "st_findextent"), ("postgis", "dropgeometrytable"), ("postgis", "postgis_extensions_upgrade"),
        ("postgis", "st_fromflatgeobuftotable"), ("vector", "hnswhandler"), ("citext", "citextin"),
    ],
)  # fmt: skip
def test_what_takes_names_changes_objects_or_is_internal_is_not_in_the_lists(extension: str, name: str) -> None:
    assert name not in {rule.name for rule in rules_of(extension)}
