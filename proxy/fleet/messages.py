"""Frames between the proxy and its planner processes: a length and a pickled value, over the child's own pipes.

Pickle is safe here because both ends are this program and the pipes are inherited, never opened by name. Nothing else
is exchanged.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from proxy.catalog.model import Catalog
from proxy.fleet.frames import framed
from proxy.sql.plan import PlanContext, Planned


@dataclass(frozen=True, slots=True)
class TakeCatalog:
    """The database that `database` names looks like this from now on."""

    database: str
    catalog: Catalog


@dataclass(frozen=True, slots=True)
class PlanText:
    """Plan one text; exactly one PlannedText answers."""

    database: str
    text: bytes
    context: PlanContext
    parameter_types: tuple[int, ...]
    extended: bool


@dataclass(frozen=True, slots=True)
class PlannedText:
    """The answer; planned None: the planner failed, `problem` says how (for the log, never for a client). seconds: of
    the process's own time that it took.
    """

    planned: Planned | None
    problem: str = ""
    seconds: float = 0.0


def encode(message: TakeCatalog | PlanText | PlannedText) -> bytes:
    """One frame."""
    return framed(pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL))


def decode(body: bytes) -> object:
    """The value of a frame's body."""
    return pickle.loads(body)  # noqa: S301  # our own child's bytes over an inherited pipe
