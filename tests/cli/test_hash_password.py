"""hash-password: a verifier in pg_authid's form, never the same twice, never of nothing."""

from __future__ import annotations

from proxy.auth.scram import parse_verifier
from tests.cli.conftest import Run


def test_a_password_from_standard_input_becomes_a_verifier(run: Run) -> None:
    one, other = (run("hash-password", typed="secret\n") for _ in range(2))
    assert one.exit_code == 0
    assert parse_verifier(one.output.strip()).iterations >= 4096
    assert "secret" not in one.output
    assert one.output != other.output


def test_an_empty_password_is_refused(run: Run) -> None:
    result = run("hash-password", typed="\n")
    assert result.exit_code == 1
    assert "empty password" in result.output
