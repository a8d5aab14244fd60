"""Every refusal has a SQLSTATE of PostgreSQL's own and says a severity that drivers know."""

from __future__ import annotations

import re

import pytest

from proxy import errors
from proxy.errors import ConfigurationError, FeatureNotSupported, Refusal

CLASSES = [
    one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Refusal) and one is not Refusal
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_refusal_has_a_sqlstate_and_a_severity(kind: type[Refusal]) -> None:
    refusal = kind("message")
    assert re.fullmatch(r"[0-9A-Z]{5}", refusal.sqlstate)
    assert refusal.severity in {"ERROR", "FATAL"}
    assert refusal.message == "message"


def test_what_a_client_may_read_is_what_was_given() -> None:
    refusal = FeatureNotSupported("m", detail="d", hint="h")
    assert (refusal.sqlstate, refusal.message, refusal.detail, refusal.hint) == ("0A000", "m", "d", "h")


def test_no_two_classes_say_the_same() -> None:
    told = [(kind("m").sqlstate, kind("m").severity) for kind in CLASSES]
    assert len(told) == len(set(told)), sorted(told)


def test_a_configuration_error_tells_every_problem() -> None:
    error = ConfigurationError(["a.yaml:1: x", "b.yaml:2: y"])
    assert str(error) == "a.yaml:1: x\nb.yaml:2: y"
