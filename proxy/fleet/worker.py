"""A planner process: reads frames on standard input, answers on standard output, ends at end of file.

It runs the same pure planner as the proxy, without a cache worth naming: what it plans is remembered by the proxy. It
holds no secret: neither keys nor verifiers nor passwords reach it. It gives way to the proxy: a text that takes long to
plan is one client's, and the loop is everybody's.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from typing import BinaryIO

from proxy.catalog.layers import layered
from proxy.catalog.model import Catalog
from proxy.fleet.frames import HEADER
from proxy.fleet.messages import Forget, PlannedText, PlanText, TakeCatalog, TakePart, TakeShared, decode, encode
from proxy.sql.parse import RECURSION_LIMIT
from proxy.sql.planner import Planner

NICE = 5
LOWEST = 19
LOW = "low"  # its argument, for one that gives way to everything


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answers until the pipe ends."""
    planners: dict[str, Planner] = {}
    shared: dict[int, Catalog] = {}
    while len(header := source.read(HEADER.size)) == HEADER.size:
        message = decode(source.read(HEADER.unpack(header)[0]))
        if isinstance(message, TakeCatalog):
            planners[message.database] = Planner(message.catalog, 0)
        elif isinstance(message, TakeShared):
            shared[message.number] = message.catalog
        elif isinstance(message, TakePart):
            catalog = layered(shared[message.number], message.part, message.version)
            planners[message.database] = Planner(catalog, 0)
        elif isinstance(message, Forget):
            for name in message.databases:
                planners.pop(name, None)
            for number in message.numbers:
                shared.pop(number, None)
        elif isinstance(message, PlanText):
            sink.write(encode(_plan(planners, message)))
            sink.flush()


def _plan(planners: dict[str, Planner], message: PlanText) -> PlannedText:
    began = time.process_time()
    try:
        planner = planners[message.database]
        planned = planner.compute(message.text, message.context, message.parameter_types, message.extended)
        return PlannedText(planned, seconds=time.process_time() - began)
    except Exception:  # the parent logs it and refuses the statement; this process goes on
        return PlannedText(None, traceback.format_exc(), time.process_time() - began)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the proxy's business; it closes our pipe
    sys.setrecursionlimit(RECURSION_LIMIT)
    os.nice(LOWEST if LOW in sys.argv[1:] else NICE)
    serve(sys.stdin.buffer, sys.stdout.buffer)
