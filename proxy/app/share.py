"""A worker's share of what all together may have, where nothing else divides it. The shares add up."""

from __future__ import annotations

from proxy.server import memory
from proxy.settings import Settings


def shared(settings: Settings, workers: int) -> Settings:
    """The settings of one worker. Limits on client and server connections are not divided: permits of the store share
    them. What is counted for each database, such as the plan cache, is each worker's own.
    """
    return settings.model_copy(
        update={
            "connection_rate": settings.connection_rate / workers,
            "address_connection_rate": settings.address_connection_rate / workers,
            "memory_limit": max(1, (settings.memory_limit or memory.ceiling()) // workers),
        }
    )
