"""What rule files say about quotas: every key known, none ignored, each key by itself."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.tenancy.policy import INSTEAD, ClassLimits, Limits
from proxy.tenancy.quotas import CAN_WARN, CLASSES_CAN_WARN, ClassQuotas, LoginQuotas, Quotas, limits_of


def test_limits_have_what_quotas_say_and_nothing_else() -> None:
    assert {one.name for one in fields(Limits)} == Quotas.model_fields.keys()
    assert {one.name for one in fields(ClassLimits)} == ClassQuotas.model_fields.keys()
    assert Quotas.model_fields.keys() >= LoginQuotas.model_fields.keys() >= {*INSTEAD, *CAN_WARN}
    assert ClassQuotas.model_fields.keys() >= CLASSES_CAN_WARN


def test_each_quota_by_itself_is_the_tenants_or_the_defaults() -> None:
    defaults = Quotas.model_validate({
        "rows_per_minute": 5, "statement_timeout": "5s", "warn": ["rows_per_minute"],
        "classes": {"write": {"statements_per_second": 2.5, "statement_burst": 9}, "ddl": {"concurrent_statements": 1}},
    })  # fmt: skip
    own = Quotas.model_validate(
        {"connections": 3, "statement_timeout": 9, "classes": {"write": {"statement_burst": 4}}}
    )
    classes = {"write": ClassLimits(None, 2.5, 4), "ddl": ClassLimits(1)}
    warned = frozenset({"rows_per_minute"})
    wanted = Limits(connections=3, rows_per_minute=5, statement_timeout=9.0, classes=classes, warn=warned)
    assert limits_of(own, defaults) == wanted
    assert limits_of(Quotas(), Quotas()) == Limits()


def test_a_login_has_no_limit_that_it_does_not_name() -> None:
    own = limits_of(LoginQuotas(rows_per_minute=5, warn=["rows_per_minute"]))
    none = Limits(connections=None, server_connections=None)
    assert {one.name for one in fields(Limits) if getattr(own, one.name) != getattr(none, one.name)} == {
        "rows_per_minute", "warn",
    }  # fmt: skip
    with pytest.raises(ValidationError, match="Extra inputs"):
        LoginQuotas.model_validate({"server_connections": 5})


@pytest.mark.parametrize(
    "given",
    [
        {"rows_per_minute": 0}, {"statements_per_second": 0.0}, {"statements_per_second": float("inf")},
        {"concurrent_statements": 1.5}, {"classes": {"select": {}}}, {"classes": {"read": {"rows_per_minute": 1}}},
        {"server_time_per_hour": "0s"}, {"warn": ["connections"]}, {"warn": ["write.rows_per_minute"]},
        {"warn": ["select.statements_per_second"]}, {"warn": ["everything"]}, {"wait": ["everything"]},
        {"wait": ["result_rows"]}, {"wait": ["planning_time_per_minute"]}, {"wait": ["ddl.rows_per_minute"]},
        {"wait": ["rows_per_minute"], "warn": ["rows_per_minute"]},
    ],
)  # fmt: skip
def test_what_is_no_limit_is_a_mistake(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Quotas.model_validate(given)


def test_what_only_warns_is_named_with_its_class() -> None:
    names = ["rows_per_minute", "write.statements_per_second", "ddl.concurrent_statements"]
    assert limits_of(Quotas(warn=names), Quotas()).warn == set(names)


def test_where_statements_wait_is_named_as_well() -> None:
    names = ["statements_per_second", "copy.concurrent_statements", "server_time_per_hour"]
    assert limits_of(Quotas(wait=names), Quotas(wait=["rows_per_minute"])).wait == set(names)
    assert limits_of(Quotas(), Quotas(wait=["rows_per_minute"])).wait == {"rows_per_minute"}


def test_only_a_tenants_storage_can_warn() -> None:
    assert Quotas.model_validate({"storage": "1GB", "warn": ["storage"]}).warn == ["storage"]
    with pytest.raises(ValidationError, match="storage is no limit that can only warn"):
        LoginQuotas.model_validate({"warn": ["storage"]})
