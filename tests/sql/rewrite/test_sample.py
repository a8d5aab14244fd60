"""Sample: all rows or none."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.world import World
from tests.sql.worlds import text_of


@pytest.mark.parametrize(
    "sample", ["SYSTEM (50)", "BERNOULLI (99.9)", "SYSTEM ($1)", "BERNOULLI ((SELECT 100))", "other (100)"]
)
def test_a_real_sample_is_refused(world: World, sample: str) -> None:
    with pytest.raises(FeatureNotSupported):
        text_of(world, f"SELECT 1 FROM orders TABLESAMPLE {sample}")


@pytest.mark.parametrize("method", ["SYSTEM", "BERNOULLI"])
def test_a_sample_of_all_rows_is_confined(world: World, method: str) -> None:
    assert "orders.tenant_id = KEY" in text_of(world, f"SELECT 1 FROM orders TABLESAMPLE {method} (100)")
