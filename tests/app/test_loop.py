"""The event loop is uvloop's where it is installed."""

from __future__ import annotations

import asyncio

from proxy.app.loop import run


def test_uvloop_runs_the_proxy_where_it_is_installed() -> None:
    async def kind() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert run(kind()).partition(".")[0] == "uvloop"
