"""Reads COPY data, cut where a test wants."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.wire.copyfields import BadCopy, Line, Shape
from proxy.wire.copyformat import CopyFormat

MOST = 1 << 20


def rows(form: CopyFormat, shape: Shape, data: bytes, cuts: Iterable[int] = ()) -> tuple[list[Line], BadCopy | None]:
    """The rows of data, and the problem that ended them."""
    reader = form.reader(shape, MOST)
    found: list[Line] = []
    done = 0
    for end in (*cuts, len(data)):
        found += reader.feed(data[done:end])
        done = end
    return found + reader.end(), reader.problem
