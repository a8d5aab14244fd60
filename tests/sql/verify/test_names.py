"""Values that become names, in a text that is to be sent."""

from __future__ import annotations

import pytest

from proxy.sql.verify.levels import Unproven
from proxy.sql.verify.names import check_values
from proxy.sql.verify.relations import Relations
from tests.kit.postgres import Cluster
from tests.kit.schemas import Beside, beside_of
from tests.sql.worlds import one_statement


@pytest.fixture
def beside(server: Cluster) -> Beside:
    return beside_of(server)


def check(beside: Beside, text: str) -> None:
    check_values(one_statement(beside.world, text).tree, Relations(beside.context.policy, beside.catalog))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'globex.orders'::regclass",
        "SELECT 'globex.orders'::text::regclass",
        "SELECT '{\"globex.f\"}'::regproc[]",
        "SELECT '\"globex\".english'::regconfig",
        "SELECT ARRAY[note]::regclass[] FROM orders",
        "SELECT tableoid::regclass FROM v",
    ],
)
def test_one_that_may_name_what_is_hidden_is_not_proved(beside: Beside, text: str) -> None:
    with pytest.raises(Unproven):
        check(beside, text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'acme.orders'::regclass, 'orders'::regclass, $1::regclass, '1.5'::numeric, 'globex.x'::text",
        "SELECT CASE WHEN tableoid = ANY (ARRAY(SELECT 1)) THEN tableoid END::regclass FROM v",
    ],
)
def test_one_that_names_what_is_seen_is_proved(beside: Beside, text: str) -> None:
    check(beside, text)
