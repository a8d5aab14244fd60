"""How far a backup or restore is: a frozen value that is told often and shown by whoever asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """phase: `read`, `verify`, `load`, `write`, `hash`, or `compare` (which counts tables). rows and bytes (of COPY
    text) are done; expected_rows is a guess of the server's planner for all of it, or the manifest's word.
    """

    phase: str
    rows: int
    bytes: int
    expected_rows: int
    table: str = ""
