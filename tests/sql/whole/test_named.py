"""PREPARE and EXECUTE keep the client's text, but for the one name that is the proxy's."""

from __future__ import annotations

import pytest

from proxy.errors import Refusal
from proxy.sql.parse import parse
from proxy.sql.prepared import unnamed
from proxy.sql.whole.named import body_of, declared, renamed
from tests.sql.whole.conftest import own_catalog


def tree(text: str) -> dict[str, object]:
    (statement,) = parse(text.encode(), size_limit=10_000, server_major=18)
    return statement.tree


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("EXECUTE p(1)", b"EXECUTE pw_00000000(1)"),
        ("/* EXECUTE x */ execute  \"My p\" ('p')", b"/* EXECUTE x */ execute  pw_00000000 ('p')"),
        ("CREATE TABLE execute AS EXECUTE execute", b"CREATE TABLE execute AS EXECUTE pw_00000000"),
        ("EXPLAIN ANALYZE EXECUTE p", b"EXPLAIN ANALYZE EXECUTE pw_00000000"),
    ],
)
def test_the_name_behind_execute_is_replaced_and_nothing_else(text: str, found: bytes) -> None:
    wanted, _ = unnamed(tree(text))
    sent, (behind, more) = renamed(text.encode(), "EXECUTE", wanted, 18)
    assert sent == found
    assert text.endswith(sent.decode()[behind:])
    assert len(text) == len(sent.decode()) + more


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("PREPARE p AS SELECT 1 AS as_is", b" SELECT 1 AS as_is"),
        ("PREPARE p (int, numeric(10, 2)) AS\n  DELETE FROM a AS b -- why", b"\n  DELETE FROM a AS b -- why"),
    ],
)
def test_what_is_prepared_is_what_stands_behind_as(text: str, body: bytes) -> None:
    statement = tree(text)["PrepareStmt"]
    assert isinstance(statement, dict)
    assert body_of(text.encode(), statement["query"], 18) == body


def test_a_text_that_does_not_mean_it_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        renamed(b"SELECT 1", "EXECUTE", tree("EXECUTE p"), 18)
    assert caught.value.sqlstate == "0A000"
    with pytest.raises(Refusal):
        body_of(b"PREPARE p AS SELECT 2", {"SelectStmt": {}}, 18)


def types(text: str) -> tuple[int, ...]:
    body = tree(f"PREPARE p({text}) AS SELECT 1")["PrepareStmt"]
    assert isinstance(body, dict)
    return declared(body, own_catalog())


def test_types_are_those_of_the_database() -> None:
    assert types("int, int[], text, colour, one.mood, two.mood") == (23, 1007, 25, 9003, 9001, 9002)


@pytest.mark.parametrize(("text", "sqlstate"), [("mood", "0A000"), ("nothing", "42704"), ("colour[]", "42704")])
def test_a_type_that_is_not_known_is_not_guessed(text: str, sqlstate: str) -> None:
    with pytest.raises(Refusal) as caught:
        types(text)
    assert caught.value.sqlstate == sqlstate
