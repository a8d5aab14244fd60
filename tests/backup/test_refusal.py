"""Reasons are listed, and a damaged archive says so."""

from __future__ import annotations

from proxy.backup.refusal import Damaged, Refused
from proxy.errors import ConfigurationError


def test_a_refusal_lists_its_reasons_as_commands_print_them() -> None:
    assert isinstance(Refused(["a", "b"]), ConfigurationError)
    assert Refused(["a", "b"]).problems == ["a", "b"]
    assert Damaged("it ends").problems == ["the archive is damaged: it ends"]
