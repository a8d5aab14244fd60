"""A function that is not there is named with the types of its arguments, as the server does; hidden ones alike."""

from __future__ import annotations

import pytest

from proxy.errors import UndefinedFunction
from proxy.sql.absent import with_types
from proxy.sql.world import World
from tests.sql.worlds import one_statement

HINT = "a hint"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT nothing(id, note) FROM orders", "function nothing(integer, text) does not exist"),
        (
            "SELECT 1 FROM orders WHERE nothing(id, 'x', $1)",
            "function nothing(integer, unknown, unknown) does not exist",
        ),
        ("SELECT 1 FROM orders o JOIN customers c ON nothing(c.name)", "function nothing(text) does not exist"),
        (
            "SELECT (SELECT nothing(o.placed_at)) FROM orders o",
            "function nothing(timestamp with time zone) does not exist",
        ),
        ("SELECT nothing(x.y) FROM (SELECT id::bigint AS y FROM orders) x", "function nothing(bigint) does not exist"),
        ("UPDATE orders SET note = nothing(amount) WHERE id = 1", "function nothing(numeric) does not exist"),
        ("SELECT nothing() FROM orders", "function nothing() does not exist"),
        ("SELECT * FROM nothing(1, $1) AS r", "function nothing(integer, unknown) does not exist"),
        ("SELECT * FROM orders o JOIN nothing(o.note) AS r ON true", "function nothing(text) does not exist"),
        ("SELECT * FROM (SELECT * FROM ROWS FROM (nothing(2::bigint))) x", "function nothing(bigint) does not exist"),
    ],
)
def test_argument_types_are_those_of_the_statement(world: World, sql: str, message: str) -> None:
    given = UndefinedFunction("function nothing(unknown) does not exist", hint=HINT, location=sql.index("nothing"))
    found = with_types(given, one_statement(world, sql).tree, world, ())
    assert (found.message, found.hint, found.location) == (message, HINT, given.location)
    assert found.sqlstate == "42883"


def test_a_relation_that_is_absent_is_missed_first(world: World) -> None:
    sql = "SELECT nothing(id) FROM nowhere"
    given = UndefinedFunction("function nothing(unknown) does not exist", location=7)
    assert with_types(given, one_statement(world, sql).tree, world, ()).message == 'relation "nowhere" does not exist'


def test_what_is_not_understood_leaves_the_refusal_as_it_is(world: World) -> None:
    given = UndefinedFunction("function nothing(unknown) does not exist", location=None)
    assert with_types(given, one_statement(world, "SELECT nothing(id) FROM orders").tree, world, ()) is given
