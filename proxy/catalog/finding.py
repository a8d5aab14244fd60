"""Finding: one fact about a server, a role or a database that should not be, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning", "advice"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact that should not be. `remedy` is SQL for a superuser, or a sentence where SQL cannot mend it; `attack` is
    what becomes possible, as a statement where there is one.
    """

    name: str
    severity: Severity
    text: str
    remedy: str
    attack: str = ""
    acceptable: bool = True  # by name, in a rule file


def identifier(name: str) -> str:
    """A name as SQL reads it, in quotes."""
    return '"' + name.replace('"', '""') + '"'
