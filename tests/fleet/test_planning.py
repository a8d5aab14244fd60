"""Planner processes: started when needed, killed when late, replaced when dead, and never a reason to forward."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.catalog.connect import connect
from proxy.catalog.introspect import introspect, read_part
from proxy.catalog.layers import LayeredCatalog, layered
from proxy.errors import InternalError, StatementTooComplex
from proxy.fleet import planning as module
from proxy.fleet.messages import Forget, Message, PlanText, encode
from proxy.fleet.planning import PlannerProcesses
from proxy.fleet.worker import LOWEST, NICE
from proxy.sql.plan import Forward, PlanContext, Planned
from proxy.sql.world import World
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import Cluster
from tests.kit.schemas import load_schemas, schema_policy
from tests.sql.test_planner import context_of

TEXT = b"SELECT note FROM orders WHERE id = 5"


@pytest.fixture
async def processes() -> AsyncIterator[PlannerProcesses]:
    made = PlannerProcesses(1, timeout=30)
    yield made
    await made.close()


async def planned(processes: PlannerProcesses, world: World, text: bytes = TEXT, low: bool = False) -> Planned:
    return await processes.plan("d", world.catalog, text, context_of(world), (), False, low=low)


def children() -> set[int]:
    """The planner processes of this process."""
    every = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    found = set()
    for one in every:
        with suppress(FileNotFoundError):
            if b"proxy.fleet.worker" in Path(f"/proc/{one}/cmdline").read_bytes():
                found.add(int(one))
    return found


async def test_one_process_serves_one_text_after_the_other(processes: PlannerProcesses, world: World) -> None:
    assert children() == set()
    first = await planned(processes, world)
    started = children()
    second = await planned(processes, world, TEXT + b" ")
    assert first.plans == second.plans
    assert len(started) == 1
    assert children() == started
    assert processes.planned == 2


async def test_a_process_gives_way_to_the_one_that_started_it(processes: PlannerProcesses, world: World) -> None:
    await planned(processes, world)
    (child,) = children()
    assert os.getpriority(os.PRIO_PROCESS, child) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE)


async def test_who_plans_too_much_has_one_process_that_nobody_else_waits_for(
    processes: PlannerProcesses, world: World
) -> None:
    await planned(processes, world, low=True)
    (child,) = children()
    assert os.getpriority(os.PRIO_PROCESS, child) == LOWEST
    os.kill(child, signal.SIGSTOP)
    flood = [asyncio.ensure_future(planned(processes, world, b"SELECT %d" % at, low=True)) for at in range(4)]
    assert (await planned(processes, world)).rejection is None
    (other,) = children() - {child}
    assert os.getpriority(os.PRIO_PROCESS, other) < LOWEST
    assert not any(one.done() for one in flood)
    os.kill(child, signal.SIGCONT)
    await asyncio.gather(*flood)
    assert children() == {child, other}


async def test_texts_wait_for_a_process_rather_than_start_more_than_allowed(
    processes: PlannerProcesses, world: World
) -> None:
    await asyncio.gather(*(planned(processes, world, b"SELECT %d" % number) for number in range(8)))
    assert len(children()) == 1
    assert processes.planned == 8


async def test_a_text_that_takes_too_long_is_refused_and_its_process_killed(world: World) -> None:
    processes = PlannerProcesses(1, timeout=0.0)
    try:
        with pytest.raises(StatementTooComplex) as refused:
            await planned(processes, world)
        assert refused.value.sqlstate == "54001"
        assert refused.value.hint
        assert processes.killed == 1
        assert children() == set()
    finally:
        await processes.close()


async def test_a_process_that_was_killed_is_replaced_at_the_next_need(
    processes: PlannerProcesses, world: World
) -> None:
    await planned(processes, world)
    (child,) = children()
    os.kill(child, signal.SIGKILL)
    with pytest.raises(InternalError):
        await planned(processes, world)
    again = await planned(processes, world)
    assert again.rejection is None
    assert children()
    assert child not in children()


async def test_who_stops_waiting_leaves_no_answer_for_the_next(processes: PlannerProcesses, world: World) -> None:
    await planned(processes, world, b"SELECT 1")
    waiting = asyncio.ensure_future(planned(processes, world, b"SELECT 2"))
    await asyncio.sleep(0)  # it has sent its text and waits for the answer
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    other = await planned(processes, world)
    assert "orders" in other.shape


async def test_closing_leaves_no_process_behind(world: World) -> None:
    processes = PlannerProcesses(2, timeout=30)
    await asyncio.gather(planned(processes, world), planned(processes, world))
    assert len(children()) == 2
    await processes.close()
    assert children() == set()


async def test_what_it_took_is_told_once_whatever_happens(processes: PlannerProcesses, world: World) -> None:
    spent: list[float] = []
    text = b"SELECT " + b",".join(b"%d" % one for one in range(300))
    await processes.plan("d", world.catalog, text, context_of(world), (), False, spent.append)
    assert len(spent) == 1
    assert 0.0 < spent.pop() < 30.0
    for pid in children():
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(InternalError):
        await processes.plan("d", world.catalog, TEXT, context_of(world), (), False, spent.append)
    assert spent == [30.0]  # nobody knows better
    waiting = asyncio.ensure_future(
        processes.plan("d", world.catalog, TEXT, context_of(world), (), False, spent.append)
    )
    await asyncio.sleep(0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert spent == [30.0, 0.0]


@pytest.fixture
async def pictures(postgres15: Cluster) -> dict[str, LayeredCatalog]:
    """Those of three tenants over what they share."""
    load_schemas(postgres15)
    connection = await connect(Server("127.0.0.1", postgres15.port, "beside", "acme_rw"), Credentials(tls="disable"))
    shared = await introspect(connection, 1, schemas=("reference",))
    names = ("acme", "globex", "initech")
    found = {one: layered(shared, await read_part(connection, one, shared), 5) for one in names}
    await connection.close()
    return found


async def test_what_tenants_share_is_sent_once_and_each_is_planned_for_in_its_own_picture(
    processes: PlannerProcesses, pictures: dict[str, LayeredCatalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    sent: list[object] = []
    inside = set[type[Message]]()  # of what was encoded where everybody waits for it
    threads = set[str]()

    def noted(message: Message) -> bytes:
        sent.append(message)
        if threading.current_thread() is threading.main_thread():
            inside.add(type(message))
        else:
            threads.add(threading.current_thread().name)
        return encode(message)

    monkeypatch.setattr(module, "encode", noted)
    for _ in range(2):
        for tenant, catalog in pictures.items():
            policy = schema_policy(tenant)
            context = PlanContext(policy, catalog.version, policy.path, f"{tenant}_rw")
            planned = await processes.plan(tenant, catalog, b"SELECT note FROM orders", context, (), False)
            (plan,) = planned.plans
            assert isinstance(plan, Forward)
            assert f"{tenant}.orders".encode() in b"".join(plan.template.pieces)
    assert inside == {PlanText, Forget}  # which are small
    assert threads == {"pictures_0"}
    kinds = [type(one).__name__ for one in sent]
    assert kinds.count("TakeShared") == 1
    assert kinds.count("TakePart") == 6  # two at a time are kept
    assert [one.databases for one in sent if isinstance(one, Forget)] == [
        ("acme",), ("globex",), ("initech",), ("acme",),
    ]  # fmt: skip


async def test_a_shared_part_that_is_old_is_forgotten(
    processes: PlannerProcesses, pictures: dict[str, LayeredCatalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SHARED", 1)
    policy = schema_policy("acme")
    for version in (6, 7, 8):
        shared, own = pictures["acme"].shared, pictures["acme"].own
        assert shared is not None
        assert own is not None
        catalog = layered(replace(shared, version=version), own, version)
        context = PlanContext(policy, version, policy.path, "acme_rw")
        planned = await processes.plan("acme", catalog, b"SELECT note FROM orders", context, (), False)
        assert planned.rejection is None
    (child,) = processes._all
    assert len(child.shared) == 1
