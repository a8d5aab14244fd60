"""Exceeded: what whoever has used up a limit is told: which one, how much was used of how much, when it opens again.

It speaks of one tenant's or login's own figures, and of nobody else's.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

UNITS = {60.0: "minute", 3600.0: "hour", 1.0: "second"}
HINTS = {
    "statements_per_second": "Send statements more slowly, or have {} raised.",
    "concurrent_statements": "Run fewer statements at one time, or have {} raised.",
    "planning_time_per_minute": "Send values as parameters, so that texts are seen again, or have {} raised.",
    "received_bytes_per_minute": "Send less, or have {} raised.",
}
OTHERWISE = "Wait, ask for less, or have {} raised."
TIMES = frozenset({"server_time_per_hour", "planning_time_per_minute"})
UNMETERED = frozenset({"result_rows", "result_bytes", "storage"})
"""Limits that no meter of a budget counts: who refuses by them counts it with the login."""
NOT_ENFORCED = "It is not enforced yet."


class Exceeded(NamedTuple):
    """One limit that is used up. name: as in rule files, with its class in front; label: also if it is a login's."""

    name: str
    label: str
    detail: str
    hint: str

    @property
    def message(self) -> str:
        """In PostgreSQL's manner."""
        kind, _, limit = self.name.rpartition(".")
        return f"quota exceeded: {f'{kind} ' if kind else ''}{limit.replace('_', ' ')}"

    @property
    def rule(self) -> str:
        """For the audit line."""
        return f"quota.{self.label}"


def rate_exceeded(name: str, login: bool, per: float, limit: tuple[float, float], used: float, wait: float) -> Exceeded:
    """per: seconds of the limit's unit; limit: how much in that time, and how much at once; wait: seconds."""
    rate, burst = limit
    used = used if name in TIMES else ceil(used - 1e-6)  # statements, rows and bytes are whole
    what, unit = _what(name), "s" if name in TIMES else ""
    text = f"{_whose(login)}imit {_number(rate)}{f' {unit}' if unit else what} per {UNITS[per]}"
    if name.endswith("statements_per_second") and burst != rate:
        text += f" with a burst of {_number(burst)}"
    text += f", used {_number(used)}{f' {unit}' if unit else ''}; it opens again in {_number(max(wait, 0.001))} s."
    return Exceeded(name, _label(name, login), text, _hint(name))


def too_many_together(name: str, login: bool, burst: float, amount: int) -> Exceeded:
    """So many as never are admitted at once."""
    detail = f"{amount} statements were sent together, and no more than {_number(burst)} are ever admitted at once."
    return Exceeded(name, _label(name, login), detail, "Send them in smaller parts, or have statement_burst raised.")


def gauge_exceeded(name: str, login: bool, limit: int, held: int) -> Exceeded:
    """So many at one time."""
    detail = f"{_whose(login)}imit {limit}, used {held}; it opens again when one of them has ended."
    return Exceeded(name, _label(name, login), detail, _hint(name))


def _label(name: str, login: bool) -> str:
    return f"login.{name}" if login else name


def _whose(login: bool) -> str:
    return "Of this login: l" if login else "L"


def _what(name: str) -> str:
    return {"rows_per_minute": " rows", "bytes_per_minute": " bytes", "received_bytes_per_minute": " bytes"}.get(
        name, ""
    )


def _hint(name: str) -> str:
    return HINTS.get(name.rpartition(".")[2], OTHERWISE).format(name)


def _number(value: float) -> str:
    """At most three digits behind the point, and none that say nothing."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
