"""How a statement gets its plan: a name that nobody knows is asked about once more, and where the session has moved
meanwhile, at the place where it is now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from proxy.sql.plan import PlanContext, Planned, Reject, StatementKind
from tests.kit.builders import CATALOG, ForwardingPlanner, OneTenant
from tests.server.conftest import House, until
from tests.server.test_following import other


@dataclass
class Knowing(ForwardingPlanner):
    """Knows no name before it has looked. then: what happens while it looks."""

    looked: int = 0
    asked: list[str] = field(default_factory=list)
    then: object = None

    def lookup(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned | None:
        return None

    def plan(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned:
        self.asked.append(context.policy.isolation)
        if self.looked:
            return super().plan(text, context, parameter_types, extended)
        return Planned((Reject(StatementKind.SELECT, "42P01", 'relation "new" does not exist'),))

    async def refresh(self, seen: int) -> bool:
        self.looked += 1
        self.catalog = replace(CATALOG, version=2)
        if callable(self.then):
            self.then()
        return True


class Unsettled(Knowing):
    """Knows all but what is called new."""

    def plan(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned:
        if b"new" in text:
            return super().plan(text, context, parameter_types, extended)
        return ForwardingPlanner.plan(self, text, context, parameter_types, extended)


async def test_a_name_that_nobody_knows_is_asked_about_once_more(house: House) -> None:
    planner = Knowing()
    house.listener.services = replace(house.listener.services, planning=lambda _: planner)
    client = await house.connect()
    assert (await house.ask(client, "SELECT 3")).rows == [(b"3",)]
    assert (planner.looked, planner.asked) == (1, ["row", "row"])
    client.close()


async def test_a_session_that_moved_meanwhile_is_planned_for_where_it_is_now(house: House) -> None:
    """And never by the new mode with the picture of the old place."""
    here, there = Knowing(), Knowing(looked=1)
    granted = replace(house.rules.granted, policy=other(house.rules.granted.policy))
    rules = OneTenant(granted, generation=2)
    house.listener.services = replace(
        house.listener.services, planning=lambda grant: there if grant.policy.isolation == "database" else here
    )
    client = await house.connect()
    (port,) = house.listener.clients

    def move() -> None:
        port.services = replace(port.services, rules=lambda: rules)

    here.then = move
    assert (await house.ask(client, "SELECT 3")).rows == [(b"3",)]
    assert (here.asked, set(there.asked)) == (["row"], {"database"})
    client.close()


async def test_what_a_transaction_has_set_ends_with_it_although_it_has_looked_again(house: House) -> None:
    planner = Unsettled()
    house.listener.services = replace(house.listener.services, planning=lambda _: planner)
    client = await house.connect()
    (before,) = (await house.ask(client, "SHOW work_mem")).rows
    for text in ("BEGIN", "SET work_mem TO '5MB'", "SELECT 3 AS new", "ROLLBACK"):
        assert (await house.ask(client, text)).errors == []
    assert planner.looked == 1
    assert (await house.ask(client, "SHOW work_mem")).rows == [before]
    client.close()


async def test_who_was_canceled_is_not_moved_by_the_look_that_it_had_asked_for(house: House) -> None:
    """It waits for something else by now, at the place where it asked."""
    planner = Knowing()
    house.listener.services = replace(house.listener.services, planning=lambda _: planner)
    client = await house.connect()
    (port,) = house.listener.clients
    before = port.grant
    granted = replace(house.rules.granted, policy=other(house.rules.granted.policy))
    rules = OneTenant(granted, generation=2)

    def leave() -> None:
        port.services = replace(port.services, rules=lambda: rules)
        port.session.ticket += 1

    planner.then = leave
    asked = asyncio.ensure_future(house.ask(client, "SELECT 3"))
    await until(lambda: planner.looked == 1 and not house.listener.tasks)
    assert port.grant is before
    assert port.transport is not None
    port.transport.abort()  # nobody answers it any more
    await asyncio.gather(asked, return_exceptions=True)
    client.close()
