"""The search path: pinned or empty, and what pg_dump sets while it is empty."""

from __future__ import annotations

from proxy.sql.classify import classify
from proxy.sql.search_path import BARE, set_tree
from tests.sql.test_classify import of, one, refusal


def test_a_dump_empties_its_search_path_and_takes_it_back() -> None:
    for sql in ("SELECT pg_catalog.set_config('search_path', '', false)", "SET search_path = ''"):
        (effect,) = of(sql).effects.settings
        assert (effect.name, effect.value, effect.local) == ("search_path", BARE, False)
    (back,) = of("SET search_path = public").effects.settings
    assert (back.name, back.value) == ("search_path", None)
    (back,) = classify(one("RESET search_path"), bare=True).effects.settings
    assert (back.name, back.value) == ("search_path", None)
    assert refusal("RESET search_path").sqlstate == "42501"
    assert refusal("SELECT set_config('search_path', 'evil', false)").sqlstate == "42501"


def test_row_security_stays_on_whatever_a_dump_says() -> None:
    tree = classify(one("SET row_security = off"), bare=True).tree["VariableSetStmt"]
    assert {"VariableSetStmt": tree} == set_tree("row_security", "on", False)
    assert refusal("SET row_security = off").sqlstate == "42501"
