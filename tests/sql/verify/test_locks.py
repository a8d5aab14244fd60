"""A LOCK TABLE is proved only in the mode that every reader takes, and only of what is shown."""

from __future__ import annotations

import pytest

from tests.sql.verify.conftest import Doubt


def test_the_weakest_mode_of_a_table_that_is_shown_is_proved(doubt: Doubt) -> None:
    assert doubt("LOCK TABLE public.orders IN ACCESS SHARE MODE") == ""
    assert doubt("LOCK TABLE ONLY public.orders, public.products IN ACCESS SHARE MODE NOWAIT") == ""


@pytest.mark.parametrize(
    "text",
    [
        "LOCK TABLE public.orders",
        "LOCK TABLE public.orders IN ROW SHARE MODE",
        "LOCK TABLE orders IN ACCESS SHARE MODE",
        "LOCK TABLE public.orders, public.nothing IN ACCESS SHARE MODE",
        "LOCK TABLE pg_catalog.pg_class IN ACCESS SHARE MODE",
        "LOCK TABLE shared.public.orders IN ACCESS SHARE MODE",
    ],
)
def test_nothing_else_is(doubt: Doubt, text: str) -> None:
    assert doubt(text).startswith("a LOCK TABLE")
