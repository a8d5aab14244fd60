"""A tenant's flood of new texts goes to the planner processes, and there it waits for its own turn."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from proxy.server import gate
from proxy.server.flow import Flow
from proxy.server.planned import Question
from proxy.server.sharing import AHEAD, BURST, DEBT, FLAT, LOGINS, PAUSE, PLANNING, RELAY, Share, Shares, flat
from proxy.sql.plan import Planned
from tests.kit.builders import ForwardingPlanner, plan_text
from tests.server.conftest import House, until


def test_a_text_that_is_long_or_nested_is_not_planned_on_the_loop() -> None:
    assert flat(b"SELECT 1", 8)
    assert not flat(b"SELECT 12", 8)
    assert flat(b"SELECT " + b"(" * FLAT + b"1" + b")" * FLAT, 1000)
    assert not flat(b"SELECT " + b"(" * (FLAT + 1) + b"1" + b")" * (FLAT + 1), 1000)


def test_each_tenant_has_its_own_share() -> None:
    shares = Shares(1, 100.0)
    assert shares.of("acme") is shares.of("acme")
    shares.of("acme").planned(2 * BURST, 0.0)
    assert not shares.of("acme").may_plan(0.0)
    assert shares.of("globex").may_plan(0.0)
    shares.forget("acme")
    assert shares.of("acme").may_plan(0.0)


def test_in_the_long_run_a_tenant_plans_before_others_for_its_share_of_the_time() -> None:
    share, now, used = Share(1, 100.0), 0.0, 0.0
    for _ in range(200_000):
        now += 0.001
        if share.may_plan(now):
            share.planned(0.004, now)
            used += 0.004
    assert used <= BURST + PLANNING * now + 0.004
    assert used >= PLANNING * now


def test_large_results_of_a_tenant_have_their_share_of_the_loop_and_who_begins_does_not_wait() -> None:
    share, now, used = Share(1, 100.0), 0.0, 0.0
    assert share.relayed(AHEAD + RELAY * PAUSE / 2, now) == 0.0
    for _ in range(1000):
        used += 0.001
        now += 0.001 + share.relayed(0.001, now)
    assert RELAY * now * 0.99 <= used <= RELAY * (now + PAUSE) + 0.001


def test_a_result_of_a_megabyte_is_not_relayed_in_one_go() -> None:
    share, read = Share(1, 100.0), 0.0005  # seconds that 256 kB of small rows take
    assert share.relayed(read, 0.0) == 0.0
    assert [share.relayed(read, 0.0) for _ in range(3)][1:] == pytest.approx([read / RELAY, 2 * read / RELAY])


def test_whatever_was_used_nobody_rests_longer_than_the_most_that_is_owed() -> None:
    share = Share(1, 100.0)
    assert share.relayed(1000.0, 0.0) == pytest.approx(DEBT / RELAY)
    assert share.relayed(1000.0, 0.0) == pytest.approx(DEBT / RELAY)
    assert share.relayed(0.0, 2 * DEBT / RELAY) == 0.0


def test_a_tenant_is_alone_while_no_other_has_a_session() -> None:
    shares = Shares(1, 100.0)
    acme, globex = shares.of("acme"), shares.of("globex")
    shares.enter(acme)
    shares.enter(acme)
    assert shares.alone(acme)
    shares.enter(globex)
    assert not shares.alone(acme)
    shares.leave(globex)
    assert shares.alone(acme)


def test_one_may_log_in_with_tls_however_low_the_rate_is() -> None:
    assert Share(1, 0.1).logged_in(gate.cost(True), 0.0, 1.0) == 0.0


def test_logins_of_a_tenant_wait_for_their_turn_once_it_has_had_half_of_what_the_process_takes() -> None:
    share = Share(1, 100.0)
    for _ in range(int(LOGINS * 100 * gate.BURST)):
        assert share.logged_in(1.0, 0.0, 1.0) == 0.0
    waits = [share.logged_in(1.0, 0.0, 1.0) for _ in range(60)]
    assert waits[:50] == pytest.approx([one / 50 for one in range(1, 51)])
    assert waits[50:] == [None] * 10  # which is not owed
    assert share.logged_in(1.0, 1.0, 1.0) == pytest.approx(0.02)
    assert share.logged_in(gate.cost(True), 10.0, 1.0) == 0.0


async def test_in_a_line_of_texts_one_tenant_has_no_more_than_the_processes() -> None:
    shares, process = Shares(1, 100.0), asyncio.Semaphore(1)  # which is fair: who comes first is first
    order: list[str] = []

    async def plan(tenant: str) -> None:
        async with shares.of(tenant).turn, process:
            order.append(tenant)
            await asyncio.sleep(0)

    flood = [asyncio.ensure_future(plan("noisy")) for _ in range(50)]
    await asyncio.sleep(0)
    await asyncio.gather(*flood, *(plan("steady") for _ in range(3)))
    assert sorted(order) == ["noisy"] * 50 + ["steady"] * 3
    assert max(place for place, tenant in enumerate(order) if tenant == "steady") <= 6


class Planner(ForwardingPlanner):
    """Plans nothing twice, and knows which texts it was given to plan elsewhere, and how many at a time."""

    def __init__(self) -> None:
        super().__init__(cached=False)
        self.given: list[bytes] = []
        self.now = self.most = 0

    async def elsewhere(self, asked: Question, spent: Callable[[float], None] | None, low: bool) -> Planned:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        self.given.append(asked.text)
        return plan_text(asked.text)


async def test_a_short_text_is_planned_elsewhere_once_its_tenant_has_used_its_share(house: House) -> None:
    planner = Planner()
    house.listener.services = replace(house.listener.services, planning=lambda _: planner)
    clients = [await house.connect() for _ in range(4)]
    assert (await house.ask(clients[0], "SELECT 1")).errors == []
    assert planner.given == []
    house.listener.shares.of("acme").planned(1000.0, time.perf_counter())
    answers = await asyncio.gather(*(house.ask(one, f"SELECT {at}") for at, one in enumerate(clients)))
    assert [one.errors for one in answers] == [[]] * 4
    assert sorted(planner.given) == [b"SELECT %d" % at for at in range(4)]
    assert planner.most == 1
    for one in clients:
        await asyncio.to_thread(one.close)


@pytest.mark.parametrize("others", ["nobody", "strangers", "another tenant"])
async def test_large_results_wait_for_their_share_of_the_loop_where_there_are_others_and_arrive_whole(
    house: House, monkeypatch: pytest.MonkeyPatch, others: str
) -> None:
    rests: list[float] = []
    rest = Flow.rest

    def noted(flow: Flow, seconds: float, over: Callable[[], bool] | None = None) -> None:
        rests.append(seconds)
        rest(flow, seconds, over)

    monkeypatch.setattr(Flow, "rest", noted)
    client = await house.connect()
    shares = house.listener.shares
    if others == "another tenant":
        shares.enter(shares.of("globex"))
    writer = (await asyncio.open_connection("127.0.0.1", house.port))[1] if others == "strangers" else None
    await until(lambda: len(house.listener.clients) == (1 if writer is None else 2))
    began, looks = time.perf_counter(), itertools.count()
    clock = lambda: began + 0.1 * next(looks)  # noqa: E731  # what is owed is paid after ten looks, however slow all is
    house.listener.services = replace(house.listener.services, clock=clock)
    shares.of("acme").relayed(AHEAD + DEBT, began)
    owed = shares.of("acme").relayed(0.0, began)
    answer = await house.ask(client, "SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
    assert answer.rows == [(b"x" * 1000,)] * 2000
    assert any(rests) is (others == "another tenant")
    assert max(rests, default=0.0) <= DEBT / RELAY
    if others != "another tenant":
        assert shares.of("acme").relayed(0.0, began) <= owed  # of what was relayed alone nothing is owed
    assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
    client.close()
    if writer is not None:
        writer.close()
