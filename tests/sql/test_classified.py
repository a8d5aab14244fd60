"""What classify says is a value: equal statements are equal, and nothing of it changes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from proxy.sql.classified import Classified
from proxy.sql.plan import NO_EFFECTS, StatementKind


def test_a_classified_statement_has_no_effects_unless_it_says_so_and_cannot_be_changed() -> None:
    one = Classified(StatementKind.SELECT, {"SelectStmt": {}})
    assert one.effects is NO_EFFECTS
    assert one == Classified(StatementKind.SELECT, {"SelectStmt": {}})
    with pytest.raises(FrozenInstanceError):
        one.kind = StatementKind.DDL  # type: ignore[misc]  # that it cannot be assigned is the point
