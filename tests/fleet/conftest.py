"""The sample set's world, as the tests of sql/ have it."""

from __future__ import annotations

from tests.sql.conftest import sample_port, world

__all__ = ["sample_port", "world"]
