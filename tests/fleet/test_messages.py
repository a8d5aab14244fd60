"""Frames to planner processes: what goes in comes out, and the length in front is the body's."""

from __future__ import annotations

from proxy.catalog.layers import Part
from proxy.fleet.frames import HEADER
from proxy.fleet.messages import Forget, PlannedText, PlanText, TakeCatalog, TakePart, TakeShared, decode, encode
from proxy.sql.world import World
from tests.kit.builders import plan_text
from tests.sql.test_planner import context_of


def test_every_message_survives_its_way_through_a_pipe(world: World) -> None:
    context = context_of(world)
    text = b"SELECT 'a\x00\xff', 1"
    for message in (
        TakeCatalog("app@shop", world.catalog),
        TakeShared(7, world.catalog),
        TakePart("app@shop", 7, Part("acme", {}, {}, {}, {}, {}, {}), 3),
        Forget(("app@shop",), (7,)),
        PlanText("app@shop", text, context, (23, 25), True),
        PlannedText(plan_text(b"SELECT 1"), ""),
        PlannedText(None, "Traceback …"),
    ):
        frame = encode(message)
        (length,) = HEADER.unpack(frame[: HEADER.size])
        assert length == len(frame) - HEADER.size
        assert decode(frame[HEADER.size :]) == message


def test_a_context_that_crossed_the_pipe_still_names_the_same_plans(world: World) -> None:
    context = context_of(world)
    frame = encode(PlanText("app@shop", b"", context, (), False))
    message = decode(frame[HEADER.size :])
    assert isinstance(message, PlanText)
    assert message.context.identity == context.identity
