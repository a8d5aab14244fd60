"""A tenant is paused at every proxy that serves it, or the block is not entered; and resumed after it in any case."""

from __future__ import annotations

import asyncio
import threading

import pytest

from proxy.cli import quiet
from proxy.cli.quiet import Silent, paused
from proxy.errors import ConfigurationError
from proxy.fleet.control import Answer, Pause, Resume, Statistics
from proxy.settings import Settings, load_settings
from tests.cli.conftest import TOKEN
from tests.kit.books import eventually
from tests.kit.postgres import free_port
from tests.kit.proxy import Proxy


def settings(proxy: Proxy, **more: object) -> Settings:
    return load_settings(None, {"state_directory": proxy.directory / "state", "admin_token": TOKEN, **more})


def held(proxy: Proxy) -> list[tuple[str, str]]:
    """What is paused, asked from another thread, because this one has a loop."""
    answer: list[dict[str, str]] = []
    thread = threading.Thread(target=lambda: answer.extend(proxy.ask(Statistics()).result["processes"][0]["paused"]))
    thread.start()
    thread.join()
    return [(one["tenant"], one["database"]) for one in answer]


async def test_its_sessions_wait_in_the_block_and_go_on_after_it(proxy: Proxy) -> None:
    async with paused("acme", "shared", 5, 60, settings(proxy)):
        assert held(proxy) == [("acme", "shared")]
    assert held(proxy) == []
    with pytest.raises(ZeroDivisionError):
        async with paused("acme", "shared", 5, 60, settings(proxy)):
            raise ZeroDivisionError
    assert held(proxy) == []


async def test_by_its_admin_address_too_and_as_a_peer(proxy: Proxy) -> None:
    here = f"http://127.0.0.1:{proxy.admin_port}"
    async with paused("acme", "shared", 5, 60, settings(proxy), [here]):
        assert held(proxy) == [("acme", "shared")]
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConfigurationError, match="the tenant cannot be paused there"):
        async with paused("acme", "shared", 5, 60, settings(proxy, peers={1: nobody})):
            raise AssertionError("nobody may come here")
    assert held(proxy) == []
    with pytest.raises(ConfigurationError, match="admin_token is not set"):
        async with paused("acme", "shared", 5, 60, settings(proxy, admin_token=None), [here]):
            raise AssertionError("nobody may come here")


async def test_where_no_proxy_is_it_is_told_how_to_go_without(proxy: Proxy, tmp_path: object) -> None:
    with pytest.raises(ConfigurationError, match="use --no-pause"):
        async with paused("acme", "shared", 5, 60, load_settings(None, {"state_directory": tmp_path})):
            raise AssertionError("nobody may come here")


async def test_a_pause_that_somebody_else_made_stays(proxy: Proxy) -> None:
    def ask(request: Pause | Resume) -> None:
        thread = threading.Thread(target=proxy.ask, args=[request])
        thread.start()
        thread.join()

    ask(Pause("acme", "shared"))
    async with paused("acme", "shared", 5, 60, settings(proxy)):
        pass
    assert held(proxy) == [("acme", "shared")]
    ask(Resume("acme", "shared"))


async def test_a_tenant_that_the_proxy_does_not_know_runs_nothing(proxy: Proxy) -> None:
    async with paused("newco", "shared", 5, 60, settings(proxy)):
        assert held(proxy) == []


async def test_who_keeps_it_from_being_paused_is_named(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as busy:
        busy.simple("BEGIN")
        busy.simple("SELECT count(*) FROM orders")
        with pytest.raises(ConfigurationError, match=r"could not be paused in 0.1 seconds(?s:.*)idle in transaction"):
            async with paused("acme", "shared", 0.1, 60, settings(proxy)):
                raise AssertionError("nobody may come here")
    assert held(proxy) == []


async def test_who_is_gone_at_the_end_holds_up_none_of_the_others(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def answered(door: str | None, request: object, _: Settings) -> Answer:
        asked.append((door, type(request).__name__))
        if (door, type(request).__name__) == ("gone", "Resume"):
            raise Silent(["gone: nobody serves there"])
        return Answer()

    monkeypatch.setattr(quiet, "asked_at", answered)
    with pytest.raises(ZeroDivisionError):  # why it failed is told, and not that
        async with paused("acme", "shared", 5, 60, settings(proxy), ["gone", "there"]):
            raise ZeroDivisionError
    with pytest.raises(Silent, match="gone: nobody serves there") as told:
        async with paused("acme", "shared", 5, 60, settings(proxy), ["gone", "there"]):
            pass
    assert told.value.problems[1:] == [
        "what was to be done in the pause is done; acme goes on there by itself after 60 s"
    ]
    assert asked.count(("there", "Resume")) == 2


async def test_who_is_ended_while_a_proxy_makes_the_pause_leaves_none(proxy: Proxy) -> None:
    here = f"http://127.0.0.1:{proxy.admin_port}"

    async def waiting() -> None:
        async with paused("acme", "shared", 20, 60, settings(proxy), [here]):
            raise AssertionError("nobody may come here")

    with proxy.connect("acme_app") as busy:
        busy.simple("BEGIN")
        busy.simple("SELECT count(*) FROM orders")
        task = asyncio.ensure_future(waiting())
        await asyncio.to_thread(eventually, lambda: held(proxy) == [("acme", "shared")], 10)
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert (task.cancelled(), held(proxy)) == (True, [])
        busy.simple("COMMIT")
        assert held(proxy) == []
