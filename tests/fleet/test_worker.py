"""A planner process plans as the proxy itself would, survives a bug, and ends with its pipe."""

from __future__ import annotations

import io
import subprocess
import sys

from proxy.fleet.frames import HEADER
from proxy.fleet.messages import PlannedText, PlanText, TakeCatalog, decode, encode
from proxy.fleet.worker import serve
from proxy.sql.planner import Planner
from proxy.sql.world import World
from tests.sql.test_planner import context_of


def answers(*requests: bytes) -> list[PlannedText]:
    """What a process answers to these frames."""
    sink = io.BytesIO()
    serve(io.BytesIO(b"".join(requests)), sink)
    sink.seek(0)
    found = []
    while header := sink.read(HEADER.size):
        answer = decode(sink.read(HEADER.unpack(header)[0]))
        assert isinstance(answer, PlannedText)
        found.append(answer)
    return found


def test_a_text_is_planned_exactly_as_the_proxy_would(world: World) -> None:
    context, text = context_of(world), b"SELECT note FROM orders WHERE id = 5"
    (answer,) = answers(encode(TakeCatalog("d", world.catalog)), encode(PlanText("d", text, context, (), False)))
    assert answer.planned is not None
    assert answer.planned.plans == Planner(world.catalog, 1 << 20).plan(text, context).plans


def test_a_refusal_is_a_plan_and_not_a_failure(world: World) -> None:
    request = PlanText("d", b"SELECT * FROM pg_authid", context_of(world), (), False)
    (answer,) = answers(encode(TakeCatalog("d", world.catalog)), encode(request))
    assert answer.planned is not None
    assert answer.planned.rejection is not None


def test_what_cannot_be_planned_is_told_and_the_next_text_is_planned(world: World) -> None:
    context = context_of(world)
    unknown = encode(PlanText("never sent", b"SELECT 1", context, (), False))
    known = encode(PlanText("d", b"SELECT 1", context, (), False))
    first, second = answers(encode(TakeCatalog("d", world.catalog)), unknown, known)
    assert first.planned is None
    assert "KeyError" in first.problem
    assert second.planned is not None


def test_a_pipe_that_ends_inside_a_frame_ends_the_process_without_an_answer() -> None:
    assert answers(b"\x00\x00") == []


def test_a_process_plans_as_deep_a_statement_as_the_proxy_does(world: World) -> None:
    deep = b"SELECT " + b" + ".join([b"id"] * 450) + b" FROM orders"
    frames = encode(TakeCatalog("d", world.catalog)) + encode(PlanText("d", deep, context_of(world), (), False))
    command = [sys.executable, "-m", "proxy.fleet.worker"]
    done = subprocess.run(command, input=frames, capture_output=True, check=True, timeout=60)
    answer = decode(done.stdout[HEADER.size :])
    assert isinstance(answer, PlannedText)
    assert answer.planned is not None
    assert answer.planned.rejection is None
