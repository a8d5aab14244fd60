"""What framing costs: microseconds per message of the relay's scanner over a result of small rows."""

from __future__ import annotations

from benchmarks.planning import Cost, best
from proxy.wire.backend import CommandComplete, DataRow, ReadyForQuery
from proxy.wire.streams import BackendStream

ROWS = 1000


def costs() -> list[Cost]:
    """One figure: the cost of a DataRow of 100 bytes in a run."""
    rows = DataRow((b"x" * 40, b"y" * 40, None)).encode() * ROWS
    data = rows + CommandComplete(f"SELECT {ROWS}").encode() + ReadyForQuery(73).encode()
    stream = BackendStream()
    return [Cost("framing, per message of a run of rows", best(lambda _: stream.feed(data), 20) / (ROWS + 2))]
