"""The page of metrics, made a piece at a time: ten thousand tenants are some seconds of work, and nobody waits for it.

Between two pieces the event loop has its turn. A collector gives one family in several pieces, of some tenants each;
in the text they stand together, as the format asks. What is counted meanwhile may be in one piece and not in another.
Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format, "Grouping and sorting").
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

HEADERS = (b"# HELP ", b"# TYPE ")


class _Only(CollectorRegistry):
    """A registry of one piece."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        """That."""
        yield self._metric


async def pieces(registry: CollectorRegistry) -> AsyncIterator[Metric]:
    """Everything that the registry collects, with a turn of the loop before each piece."""
    for metric in registry.collect():
        await asyncio.sleep(0)
        yield metric


async def exposition(registry: CollectorRegistry) -> bytes:
    """The page, as text."""
    families: dict[str, list[bytes]] = {}
    async for metric in pieces(registry):
        text = generate_latest(_Only(metric))
        if metric.name in families:
            text = b"".join(line for line in text.splitlines(keepends=True) if not line.startswith(HEADERS))
        families.setdefault(metric.name, []).append(text)
    return b"".join(text for found in families.values() for text in found)
