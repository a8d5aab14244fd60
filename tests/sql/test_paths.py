"""The search path of a session whose tenant has a schema of its own."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import FeatureNotSupported, Refusal
from proxy.sql.parse import parse
from proxy.sql.paths import (
    Course,
    check_settings,
    may_be_configuration,
    may_be_path,
    names_in,
    path_of,
    require_path,
    set_path,
)
from proxy.sql.plan import Effects, PlanContext, SettingEffect, TransactionVerb
from tests.kit.schemas import schema_policy

POLICY = schema_policy()


def done(text: str) -> SettingEffect:
    (statement,) = parse(text.encode(), size_limit=1 << 16, server_major=18)
    classified = set_path(statement.tree["VariableSetStmt"])
    assert classified is not None
    (effect,) = classified.effects.settings
    return effect


@pytest.mark.parametrize(
    ("text", "value", "path"),
    [
        ("SET search_path = acme", "'acme'", ("acme",)),
        ("SET search_path TO reference, 'ac''me', acme", "'reference', 'ac''me', 'acme'", ("reference", "acme")),
        ("SET search_path = globex, acme", "'globex', 'acme'", ("acme",)),
        ("SET SCHEMA 'globex'", "'globex'", ()),
        ("SET search_path = ''", "''", ()),
        ("SET search_path = \"$user\", acme", "'$user', 'acme'", ("acme",)),
        ("SET search_path = pg_catalog, acme", "'pg_catalog', 'acme'", ("pg_catalog", "acme")),
    ],
)  # fmt: skip
def test_any_list_of_names_is_a_path_and_what_is_hidden_is_not_on_it(
    text: str, value: str, path: tuple[str, ...]
) -> None:
    assert done(text) == SettingEffect("search_path", value)
    assert path_of(POLICY, value, "acme_rw") == path


def test_the_user_is_the_role_at_the_server() -> None:
    assert path_of(POLICY, "'$user'", "reference") == ("reference",)


def test_reset_and_default_go_back() -> None:
    assert done("RESET search_path") == done("SET search_path TO DEFAULT") == SettingEffect("search_path", None)


@pytest.mark.parametrize(
    "text",
    [
        "SET search_path = acme, pg_catalog",
        "SET LOCAL search_path = acme, pg_catalog",
        "SET search_path = information_schema",
        "SET search_path = pg_temp",
        "SET search_path FROM CURRENT",
        "SET search_path = 1",
    ],
)
def test_a_path_that_the_planner_could_not_read_names_with_is_refused(text: str) -> None:
    with pytest.raises(FeatureNotSupported):
        done(text)


def test_a_local_one_is_the_transactions() -> None:
    assert done("SET LOCAL search_path = reference") == SettingEffect("search_path", "'reference'", local=True)
    assert done("SET LOCAL search_path TO DEFAULT") == SettingEffect("search_path", None, local=True)


SET = Effects(settings=(SettingEffect("search_path", "'reference'"),))
SET_LOCAL = Effects(settings=(SettingEffect("search_path", "'reference'", local=True),))
BEGIN, COMMIT, ROLLBACK, ROLLBACK_TO = (
    Effects(transaction=one)
    for one in (TransactionVerb.BEGIN, TransactionVerb.COMMIT, TransactionVerb.ROLLBACK, TransactionVerb.ROLLBACK_TO)
)
QUERY: dict[str, Any] = {"SelectStmt": {"targetList": []}}


def followed(*effects: Effects) -> Course:
    course = Course(PlanContext(POLICY, 1, POLICY.path, "acme_rw"))
    for one in effects:
        course.follow(one)
    return course


@pytest.mark.parametrize(
    ("effects", "path"),
    [
        ((), ("acme", "reference")),
        ((SET,), ("reference",)),
        ((BEGIN, SET_LOCAL), ("reference",)),
        ((BEGIN, SET, COMMIT), ("reference",)),
        ((BEGIN, SET_LOCAL, COMMIT, SET), ("reference",)),
        ((BEGIN, COMMIT, ROLLBACK), ("acme", "reference")),
    ],
)
def test_what_stands_behind_it_in_a_text_is_read_with_it(effects: tuple[Effects, ...], path: tuple[str, ...]) -> None:
    course = followed(*effects)
    course.check(QUERY)
    assert course.context.search_path == path


@pytest.mark.parametrize(
    "effects",
    [
        (BEGIN, SET, ROLLBACK),
        (BEGIN, SET_LOCAL, COMMIT),
        (BEGIN, SET_LOCAL, ROLLBACK_TO),
        (SET, BEGIN, ROLLBACK, BEGIN),
    ],
)
def test_nobody_reads_names_behind_the_end_of_its_transaction_in_the_same_text(effects: tuple[Effects, ...]) -> None:
    course = followed(*effects)
    course.check({"TransactionStmt": {}})
    with pytest.raises(FeatureNotSupported) as refused:
        course.check(QUERY)
    assert refused.value.hint is not None


def test_another_setting_is_not_its_business() -> None:
    (statement,) = parse(b"SET TimeZone = 'UTC'", size_limit=1 << 16, server_major=18)
    assert set_path(statement.tree["VariableSetStmt"]) is None


def test_a_startup_parameter_is_judged_like_a_set() -> None:
    assert may_be_path('acme, "Globex"')
    assert not may_be_path("acme, pg_catalog")
    assert not may_be_path("a" * 2000)
    with pytest.raises(FeatureNotSupported):
        require_path(["pg_toast"])
    assert names_in("'a', 'b''c'") == ["a", "b'c"]


def test_a_configuration_of_a_hidden_schema_is_no_value() -> None:
    for value in ("'english'", "'pg_catalog.english'", "'acme.own'", None):
        check_settings(Effects(settings=(SettingEffect("default_text_search_config", value),)), POLICY)
        assert may_be_configuration(POLICY, value)
    for effect in (SettingEffect("default_text_search_config", "'globex.english'"),
                   SettingEffect("default_text_search_config", None, parameter=1)):  # fmt: skip
        with pytest.raises(Refusal, match="invalid value"):
            check_settings(Effects(settings=(effect,)), POLICY)
