"""Usage: what one login used, as whole numbers that add up; the value that is journalled, exported and billed.

All are totals. Times are milliseconds, rounded down from a total and never one by one, so that differences of two
totals add up to the last total exactly.
"""

from __future__ import annotations

from operator import add, sub
from typing import NamedTuple


class Usage(NamedTuple):
    """Totals of one login, or the difference of two."""

    statements: int = 0  # run at the server or answered; not those refused
    rows: int = 0  # sent to the client
    bytes_in: int = 0  # from the client
    bytes_out: int = 0  # to the client
    server_ms: int = 0  # the server had something of the login's to do
    wait_ms: int = 0  # the login's clients waited for a server connection
    refusals: int = 0  # by the rules or by a quota

    def plus(self, other: Usage) -> Usage:
        """Both together."""
        return Usage._make(map(add, self, other))

    def minus(self, earlier: Usage) -> Usage:
        """What came since."""
        return Usage._make(map(sub, self, earlier))


NOTHING = Usage()
