"""What a statement does to the session where the tenant may have code of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.sql.plan import ADVISORY_LOCK, UNTRACKED, Forward
from tests.kit.schemas import Beside


def effects(beside: Beside, text: str, functions: bool) -> tuple[str | None, bool]:
    """Why it pins, and whether it draws numbers, in a schema with functions of its own or without."""
    if not functions:
        system = {
            name: tuple(one for one in some if one.schema == "pg_catalog")
            for name, some in beside.catalog.functions.items()
        }
        beside = replace(beside, catalog=replace(beside.catalog, functions=system))
    plan = beside.plan(text)
    assert isinstance(plan, Forward)
    return plan.effects.pins, plan.effects.draws


@pytest.mark.parametrize(
    ("text", "pins", "draws"),
    [
        ("SELECT * FROM orders", None, False),
        ("SELECT lower(note) FROM orders", None, False),
        ("INSERT INTO orders (id) VALUES (1)", None, True),
        ("COPY orders FROM STDIN", None, True),
        ("COPY orders TO STDOUT", None, False),
        ("SELECT nextval('accounts_id_seq')", None, True),
        ("SELECT lastval()", None, True),
        ("SELECT made_just_now()", UNTRACKED, False),
        ("SELECT pg_advisory_lock(1)", ADVISORY_LOCK, False),
    ],
)
def test_numbers_are_noted_and_what_is_not_known_pins(beside: Beside, text: str, pins: str | None, draws: bool) -> None:
    assert effects(beside, text, functions=False) == (pins, draws)


def test_functions_that_nobody_reviewed_pin_every_statement(beside: Beside) -> None:
    assert effects(beside, "SELECT * FROM orders", functions=True) == (UNTRACKED, False)
    assert effects(beside, "INSERT INTO orders (id) VALUES (1)", functions=True) == (UNTRACKED, False)
