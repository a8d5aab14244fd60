"""Positions: where a place of the sent text stands in the client's text, for field P of errors and notices.

A plan serves many texts, which differ in their literals and in the keys that are filled in. So a place is kept as the
number of holes (in the sent text) or literals (in the client's) before it, and the bytes that are neither. Only places
that were paired when the tree was printed are known; for any other the answer is None, and no position is shown.
Pure. Source: PostgreSQL documentation, 55.8: P counts characters, from 1.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from proxy.sql.lift import Lifted
from proxy.sql.plan import Forward, Template
from proxy.sql.render import fill

FIELDS = 4  # of an entry: holes before, other bytes before, literals before, other bytes before


def pack(pairs: Iterable[tuple[int, int]], holes: Sequence[tuple[int, int]], lifted: Lifted | None) -> bytes:
    """Pairs of byte offsets (printed, client) as they are kept; `holes`: start and length of each in the printed text.
    A printed offset that was paired with two of the client's is left out.
    """
    places: dict[int, int] = {}
    for printed, client in pairs:
        if places.setdefault(printed, client) != client:
            places[printed] = -1
    starts, before = _before([start for start, _ in holes], [length for _, length in holes])
    offsets, taken = _of_literals(lifted)
    entries = array("I")
    for printed in sorted(places):
        client = places[printed]
        if client >= 0 and printed >= 0:
            count, literals = bisect_left(starts, printed), bisect_left(offsets, client)
            entries.extend((count, printed - before[count], literals, client - taken[literals]))
    return entries.tobytes()


def client_position(
    position: str, plan: Forward, keys: Mapping[str, str], lifted: Lifted | None, text: bytes
) -> str | None:
    """The field P that the client sees: `position` counts characters of the plan's filled text, from 1; `text` is the
    client's, `lifted` its literals. None where it is not certain.
    """
    if not position.isdecimal() or not plan.positions or plan.tells_text:  # how long that is is not known here
        return None
    literals = lifted.literals if lifted is not None else ()
    try:
        sent = fill(plan.template, keys, literals).decode()
        starts, lengths = _holes(plan.template, keys, literals)
    except (LookupError, ValueError):
        return None  # not the text that the plan was filled with: rules may have changed meanwhile
    printed = len(sent[: int(position) - 1].encode())
    starts, before = _before(starts, lengths)
    holes = bisect_left(starts, printed)
    entries = array("I")
    entries.frombytes(plan.positions)
    for at in range(0, len(entries), FIELDS):
        if entries[at] == holes and entries[at + 1] == printed - before[holes]:
            client = entries[at + 3] + _of_literals(lifted)[1][entries[at + 2]]
            return str(len(text[:client].decode()) + 1) if client <= len(text) else None
    return None


def _before(starts: Sequence[int], lengths: Sequence[int]) -> tuple[list[int], list[int]]:
    """The starts, and for each number of holes how many bytes they take."""
    return list(starts), list(accumulate(lengths, initial=0))


def _of_literals(lifted: Lifted | None) -> tuple[list[int], list[int]]:
    if lifted is None:
        return [], [0]
    return _before(lifted.offsets, [len(one) for one in lifted.literals])


def _holes(template: Template, keys: Mapping[str, str], literals: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """Where each hole stands in the filled text, and how long its value is."""
    starts: list[int] = []
    lengths: list[int] = []
    at = 0
    for piece, hole in zip(template.pieces, template.holes, strict=False):
        at += len(piece)
        value = fill(Template((b"", b""), (hole,)), keys, literals)
        starts.append(at)
        lengths.append(len(value))
        at += len(value)
    return starts, lengths
