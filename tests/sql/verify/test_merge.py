"""MERGE BY SOURCE meets every row of every tenant: the predicate must be asked first."""

from __future__ import annotations

import pytest

from tests.sql.verify.conftest import Doubt

ME = "u.tenant_id OPERATOR(pg_catalog.=) '1'::int"
GUARD = f"({ME}) IS NOT FALSE"
MERGE = f"MERGE INTO public.users u USING public.products p ON {ME} AND u.id = p.id WHEN NOT MATCHED BY SOURCE"


@pytest.mark.parametrize(
    "action",
    [
        f"AND {ME} THEN DELETE",
        f"AND {ME} AND u.id > 3 THEN UPDATE SET name = 'x'",
        f"AND {ME} AND CASE WHEN {GUARD} THEN 1 / u.id > 0 END THEN DELETE",
        f"AND {ME} THEN DELETE RETURNING merge_action(), u.id",
    ],
)
def test_what_is_asked_for_first_is_proved(doubt: Doubt, action: str) -> None:
    assert doubt(f"{MERGE} {action}", 18) == ""


@pytest.mark.parametrize(
    "action",
    [
        "THEN DELETE",
        "AND u.id > 3 THEN DELETE",
        f"AND ({ME} OR u.id > 3) THEN DELETE",
        f"AND u.id > 3 AND {ME} THEN DELETE",
        f"AND CASE WHEN {GUARD} THEN 1 / u.id > 0 END AND {ME} THEN DELETE",
        f"AND {ME} AND 1 / u.id > 0 THEN DELETE",
        f"AND {ME} THEN UPDATE SET tenant_id = 2",
        f"AND {ME} THEN DELETE RETURNING (SELECT max(secret) FROM public.orders)",
        f"AND {ME} THEN UPDATE SET name = (SELECT max(secret) FROM public.orders)",
    ],
)
def test_anything_else_is_not(doubt: Doubt, action: str) -> None:
    assert doubt(f"{MERGE} {action}", 18) != ""
