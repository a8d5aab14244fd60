"""What is not known to leave nothing in a session keeps the connection with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.catalog.model import Function
from proxy.sql.parse import parse
from proxy.sql.plan import ADVISORY_LOCK, NO_EFFECTS, SETSEED, UNTRACKED, Effects
from proxy.sql.whole.calls import Known
from tests.sql.whole.conftest import own_catalog

TOUCH = Function(1, "public", "touch", "f", (), 23, language="plpgsql")
LOWER = Function(2, "public", "lower", "f", (9003,), 25, language="sql", extension="citext")


def effects(text: str, *functions: Function) -> Effects:
    (statement,) = parse(text.encode(), size_limit=10_000, server_major=18)
    return Known.of(own_catalog(*functions)).effects(statement.tree)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "SELECT lower(a), count(*) FROM t",
        "SELECT current_setting('a')",
        "SELECT pg_catalog.now()",
        "SELECT pg_advisory_unlock_all()",
        "SELECT pg_advisory_xact_lock(1)",
    ],
)
def test_functions_that_leave_nothing_are_known(text: str) -> None:
    assert effects(text) is NO_EFFECTS


@pytest.mark.parametrize(
    "text",
    [
        "SELECT mine()",
        "SELECT public.lower(a) FROM t",
        "SELECT nextval('s')",
        "SELECT 1 WHERE unknown(2)",
        "SELECT pg_advisory_lock(1), mine()",
        "SELECT query_to_xml('SELECT mine()', true, true, '')",
    ],
)
def test_any_other_function_keeps_the_connection(text: str) -> None:
    assert effects(text).pins == UNTRACKED


def test_a_namesake_of_a_system_function_is_not_that_function() -> None:
    assert effects("SELECT lower(a) FROM t", LOWER).pins == UNTRACKED
    assert effects("SELECT pg_catalog.lower(a) FROM t", LOWER) is NO_EFFECTS


def test_where_the_database_has_functions_of_its_own_every_statement_may_call_them() -> None:
    assert effects("UPDATE t SET a = 1", TOUCH).pins == UNTRACKED
    assert effects("UPDATE t SET a = 1", LOWER) is NO_EFFECTS  # of a reviewed extension


def test_locks_and_notifications_are_noted_by_themselves() -> None:
    assert effects("SELECT pg_advisory_lock(1)") == Effects(pins=ADVISORY_LOCK)
    assert effects("SELECT pg_notify('a', 'b')") == Effects(notifies=True)
    assert effects("SELECT setseed(0), pg_advisory_lock(1)") == Effects(pins=SETSEED)
    assert effects("SELECT setseed(0), mine()") == Effects(pins=UNTRACKED)
    assert effects("SELECT pg_notify('a', 'b'), mine()") == Effects(notifies=True, pins=UNTRACKED)


@pytest.mark.parametrize(("stored", "kept"), [("set_config", True), ("pg_advisory_lock", True), ("random", False)])
def test_what_is_stored_and_acts_keeps_every_statement_with_its_session(stored: str, kept: bool) -> None:
    known = Known.of(replace(own_catalog(), stored_calls=frozenset({stored})))
    (statement,) = parse(b"SELECT 1", size_limit=10_000, server_major=18)
    assert (known.effects(statement.tree).pins == UNTRACKED) is kept
