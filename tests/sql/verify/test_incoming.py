"""COPY FROM is proved by the condition that the server asks of each row, to the letter."""

from __future__ import annotations

import pytest

from tests.sql.verify.conftest import Doubt

OWN = "customers.tenant_id OPERATOR(pg_catalog.=) '1'::pg_catalog.int4"
FOREIGN = OWN.replace("'1'", "'2'")
ERROR = (
    "('row of another tenant: ' OPERATOR(pg_catalog.||) COALESCE(customers.tenant_id::pg_catalog.text, ''))"
    "::pg_catalog.bool"
)
ASKED = f"CASE WHEN {OWN} THEN true ELSE {ERROR} END"
HEAD = "COPY public.customers (tenant_id, id, name) FROM STDIN"


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD} WHERE {ASKED}",
        f"{HEAD} WITH (FORMAT csv, HEADER match, FORCE_NULL (id)) WHERE {ASKED} AND id > 3 AND lower(name) = 'x'",
        f"COPY public.customers (id, name, tenant_id) FROM STDIN WHERE {ASKED}",
    ],
)
def test_a_copy_whose_rows_are_asked_about_is_proved(doubt: Doubt, text: str) -> None:
    assert doubt(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        f"{HEAD} WHERE {OWN}",  # leaves rows out in silence
        f"{HEAD} WHERE id > 3 AND {ASKED}",
        f"{HEAD} WHERE {ASKED} OR true",
        f"{HEAD} WHERE NOT {ASKED}",
        f"{HEAD} WHERE {ASKED.replace(OWN, FOREIGN)}",
        f"{HEAD} WHERE {ASKED.replace('=', '<>')}",
        f"{HEAD} WHERE {ASKED.replace('true', 'id > 0 OR true')}",
        f"{HEAD} WHERE {ASKED.replace(ERROR, 'true')}",
        f"{HEAD} WHERE {ASKED.replace('customers.tenant_id::', 'customers.id::')}",
        f"{HEAD} WHERE {ASKED.replace('customers.', '')}",
        f"{HEAD} WHERE {ASKED.replace('OPERATOR(pg_catalog.=)', '=')}",
        f"COPY public.customers (id, name) FROM STDIN WHERE {ASKED}",
        f"COPY public.customers FROM STDIN WHERE {ASKED}",
        f"COPY customers (tenant_id, id) FROM STDIN WHERE {ASKED}",
        f"COPY public.customers (tenant_id, id) FROM STDIN WHERE {ASKED.replace('customers', 'notes')}",
        f"COPY public.customers (tenant_id, id) FROM '/tmp/x' WHERE {ASKED}",
        f"COPY public.customers (tenant_id, id) FROM PROGRAM 'id' WHERE {ASKED}",
        f"{HEAD} (FREEZE) WHERE {ASKED}",
        f"{HEAD} WHERE {ASKED} AND id > (SELECT max(id) FROM public.orders)",
        f"{HEAD} WHERE {ASKED} AND pg_read_file('x') = ''",
        f"COPY public.products (id) FROM STDIN WHERE {ASKED.replace('customers', 'products')}",
        f"COPY public.open_orders (tenant_id) FROM STDIN WHERE {ASKED.replace('customers', 'open_orders')}",
        "COPY public.customers TO STDOUT",
    ],
)
def test_a_copy_that_may_take_rows_of_others_is_not(doubt: Doubt, text: str) -> None:
    assert doubt(text) != ""
