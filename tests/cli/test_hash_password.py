"""hash-password: a verifier in pg_authid's form, never the same twice, never of nothing."""

from __future__ import annotations

from proxy.auth.scram import both, build_verifier, parse_verifier
from tests.cli.conftest import Run


def test_a_password_from_standard_input_becomes_a_verifier(run: Run) -> None:
    one, other = (run("hash-password", typed="secret\n") for _ in range(2))
    assert one.exit_code == 0
    assert parse_verifier(one.output.strip()).iterations >= 4096
    assert "secret" not in one.output
    assert one.output != other.output


def test_the_next_password_of_a_login_gets_the_salt_of_the_present_one(run: Run) -> None:
    present = build_verifier("secret", b"sixteen bytes ..", 5000)
    result = run("hash-password", "--like", present, typed="another\n")
    next_one = parse_verifier(result.output.strip())
    both(parse_verifier(present), next_one)
    assert next_one.text() == build_verifier("another", b"sixteen bytes ..", 5000)


def test_what_is_no_verifier_cannot_be_followed(run: Run) -> None:
    result = run("hash-password", "--like", "hunter2", typed="another\n")
    assert result.exit_code == 1
    assert "not a SCRAM-SHA-256 verifier" in result.output
    assert "hunter2" not in result.output


def test_an_empty_password_is_refused(run: Run) -> None:
    result = run("hash-password", typed="\n")
    assert result.exit_code == 1
    assert "empty password" in result.output
