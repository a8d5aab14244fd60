"""Frames between the proxy and its planner processes: a length and a pickled value, over the child's own pipes.

Pickle is safe here because both ends are this program and the pipes are inherited, never opened by name. Nothing else
is exchanged.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from proxy.catalog.layers import Part
from proxy.catalog.model import Catalog
from proxy.fleet.frames import framed
from proxy.sql.plan import PlanContext, Planned


@dataclass(frozen=True, slots=True)
class TakeCatalog:
    """The database that `database` names looks like this from now on."""

    database: str
    catalog: Catalog


@dataclass(frozen=True, slots=True)
class TakeShared:
    """What the tenants of some database share, by a number."""

    number: int
    catalog: Catalog


@dataclass(frozen=True, slots=True)
class TakePart:
    """The database that `database` names is this part over what has that number, from now on."""

    database: str
    number: int
    part: Part
    version: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Nobody will ask about these any more."""

    databases: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()


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


Message = TakeCatalog | TakeShared | TakePart | Forget | PlanText | PlannedText


def encode(message: Message) -> bytes:
    """One frame."""
    return framed(pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL))


def decode(body: bytes) -> object:
    """The value of a frame's body."""
    return pickle.loads(body)  # noqa: S301  # our own child's bytes over an inherited pipe
