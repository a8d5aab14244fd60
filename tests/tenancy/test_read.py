"""Files become documents whose every value knows its line, with secrets put in."""

from __future__ import annotations

from pathlib import Path

from tests.tenancy.test_load import DATABASE, TENANT, Load, Problems, loaded, problems

__all__ = ["loaded", "problems"]  # the fixtures


def test_secrets_come_from_the_environment_and_from_files_beside(loaded: Load, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n", encoding="utf-8")
    book = loaded(DATABASE + "password: ${file:secret}\n", TENANT)
    login = book.login("acme_app")
    assert login is not None
    grant = book.grant(login, "shop")
    assert grant is not None
    assert grant.credentials.password == "from a file"


def test_a_secret_is_a_value_and_never_yaml(loaded: Load) -> None:
    book = loaded(DATABASE + "password: ${env:PW}\n", TENANT, environ={"PW": "x: [\n"})
    login = book.login("acme_app")
    assert login is not None
    grant = book.grant(login, "shop")
    assert grant is not None
    assert grant.credentials.password == "x: [\n"


def test_a_secret_that_is_not_there_is_the_only_problem(problems: Problems) -> None:
    assert problems(DATABASE + "password: ${env:PW}\n", TENANT) == ["0.yaml:4: the environment has no PW"]
    assert problems(DATABASE + "password: ${file:none}\n", TENANT) == ["0.yaml:4: the file none cannot be read"]
