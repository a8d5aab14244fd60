"""Forms: the same records as a table for people, or as CSV or JSON for programs. Every form ends with a line's end."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

Form = Literal["table", "csv", "json"]
Record = tuple[str | int, ...]


def rendered(header: Sequence[str], records: Iterable[Record], form: Form) -> str:
    """The records under this header."""
    if form == "json":
        return json.dumps([dict(zip(header, one, strict=True)) for one in records], indent=1) + "\n"
    if form == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(records)
        return text.getvalue()
    return "".join(f"{line}\n" for line in _table([tuple(header), *records]))


def _table(records: list[Record]) -> Iterator[str]:
    """Words to the left, numbers to the right, each column under its name."""
    widths = [max(len(str(one)) for one in column) for column in zip(*records, strict=True)]
    numeric = [isinstance(one, int) for one in records[-1]]
    for record in records:
        cells = zip(record, widths, numeric, strict=True)
        yield "  ".join(str(one).rjust(width) if number else str(one).ljust(width) for one, width, number in cells)
