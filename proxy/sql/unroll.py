"""Unroll: a list of many like items is planned with three, and the plan repeated for as many as there are.

A batch INSERT has a row for each object and an IN list a value for each key, so that hardly two texts are of one
shape, and a long one takes long to plan. collapse() cuts the list after VALUES, IN ( or ARRAY[ to three items if all of
its items, four or more, are the same but for their literals. unroll() makes the plan of the whole list of the plan of
those three: only where what was printed for the first item stands again, hole for hole, for the second, and again for
the third. Anything else is planned as it is. Pure. Source: decision 0035.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, replace
from itertools import accumulate

from proxy.sql.lift import Lifted
from proxy.sql.plan import Forward, Hole, KeyCheck, LiteralHole, Planned, Template
from proxy.sql.positions import FIELDS
from proxy.sql.render import literal

KEPT = 3
# An item is one literal, or a row in parentheses that holds calls at most one level deep. Each further item and what
# stands before it is the same to the letter.
ITEM = rb"(\x01[iINnsb]|\((?:[^()]|\([^()]*\))*\))"
LIST = re.compile(
    rb"(?<![\w$\".\x80-\xff])(?:VALUES|IN\s*\(|ARRAY\s*\[)\s*" + ITEM + rb"(\s*,\s*)\1(?:\2\1){2,}", re.IGNORECASE
)
QUALIFIED = re.compile(rb"\.\s*\Z")  # then it is a name: public.in(1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Collapsed:
    """text: with three items. first: number of the list's first literal; width: literals of an item; extra: items that
    were cut. start, length: of an item with what precedes the next, in bytes of the text besides literals.
    """

    text: bytes
    first: int
    width: int
    extra: int
    start: int
    length: int


def collapse(text: bytes, lifted: Lifted) -> Collapsed | None:
    """The text with its longest list cut to three items; None where no list is worth it."""
    longest: re.Match[bytes] | None = None
    for found in LIST.finditer(lifted.shape):
        if b"\x01" not in found[1] or QUALIFIED.search(lifted.shape, 0, found.start()):
            continue
        if longest is None or found.end() - found.start() > longest.end() - longest.start():
            longest = found
    if longest is None:
        return None
    shape, start = lifted.shape, longest.start(1)
    period = len(longest[1]) + len(longest[2])
    width, first = longest[1].count(b"\x01"), shape.count(b"\x01", 0, start)
    count = (longest.end() - start + len(longest[2])) // period
    cut_from = _place(lifted, start + KEPT * period - len(longest[2]), first + KEPT * width)
    cut_to = _place(lifted, longest.end(), first + count * width)
    marks = 2 * width
    return Collapsed(text[:cut_from] + text[cut_to:], first, width, count - KEPT, start - 2 * first, period - marks)


def unroll(planned: Planned, collapsed: Collapsed, lifted: Lifted) -> Planned | None:
    """The plans of the whole text, of those of the collapsed one; None where they do not repeat."""
    listed = range(collapsed.first, collapsed.first + KEPT * collapsed.width)
    forwards = [one for one in planned.plans if isinstance(one, Forward)]
    owners = [one for one in forwards if not _known(one).isdisjoint(listed)]
    if len(owners) != 1 or len(forwards) != len(planned.plans):
        return None  # else a literal of the list is in no hole: it stands in some plan as it was
    if any(one.effects.prepares is not None or one.effects.executes is not None for one in forwards):
        return None  # these hold a plan or literals of their own
    whole = _unrolled(owners[0], collapsed)
    if whole is None:
        return None
    plans = tuple(whole if one is owners[0] else _pushed(one, collapsed) for one in forwards)
    return Planned(plans, lifted.literals, planned.shape, planned.cache)


def baked(planned: Planned) -> Planned:
    """The same plans with the literals in their text, for a text that is found exactly only: there is less to keep."""
    literals = planned.literals
    plans = tuple(_baked(one, literals) if isinstance(one, Forward) else one for one in planned.plans)
    return Planned(plans, (), planned.shape, planned.cache)


def _baked(plan: Forward, literals: tuple[bytes, ...]) -> Forward:
    pieces: list[bytes] = []
    holes: list[Hole] = []
    parts: list[bytes] = []
    before = [(0, 0)]  # for each number of holes: those that stay, and the bytes that fill the others
    for piece, hole in zip(plan.template.pieces, plan.template.holes, strict=False):
        parts.append(piece)
        count, size = before[-1]
        if isinstance(hole, LiteralHole):
            value = literal(hole.kind, literals[hole.index])
            parts.append(value)
            before.append((count, size + len(value)))
            continue
        pieces.append(b"".join(parts))
        holes.append(hole)
        parts = []
        before.append((count + 1, size))
    pieces.append(b"".join((*parts, plan.template.pieces[-1])))
    taken = list(accumulate((len(one) for one in literals), initial=0))
    entries = array("I")
    entries.frombytes(plan.positions)
    counts, others, numbers, at = (entries[number::FIELDS] for number in range(FIELDS))
    filled = [before[count] for count in counts]
    places = array("I", entries)
    places[0::FIELDS] = array("I", [count for count, _ in filled])
    places[1::FIELDS] = array("I", [size + other for (_, size), other in zip(filled, others, strict=True)])
    places[2::FIELDS] = array("I", [0] * len(counts))
    places[3::FIELDS] = array("I", [taken[number] + other for number, other in zip(numbers, at, strict=True)])
    checks = tuple(
        replace(one, value=literals[one.value.index]) if isinstance(one.value, LiteralHole) else one
        for one in plan.checks
    )
    template = Template(tuple(pieces), tuple(holes))
    return replace(plan, template=template, checks=checks, positions=places.tobytes(), restore=None)


def _place(lifted: Lifted, at: int, literals: int) -> int:
    """The byte offset in the text of one in the shape, before which so many literals stand."""
    return at + sum(len(one) - 2 for one in lifted.literals[:literals])


def _known(plan: Forward) -> set[int]:
    """The literals that are holes of a plan, or that admission asks about."""
    holes = (*plan.template.holes, *(one.value for one in plan.checks))
    return {one.index for one in holes if isinstance(one, LiteralHole)}


def _pushed(plan: Forward, cut: Collapsed) -> Forward:
    """Another statement of the text: its literals may come after the list."""
    template = Template(plan.template.pieces, tuple(_later(hole, cut) for hole in plan.template.holes))
    return replace(plan, template=template, checks=_checks(plan, cut), positions=b"", restore=None)


def _unrolled(plan: Forward, cut: Collapsed) -> Forward | None:
    holes, pieces = plan.template.holes, plan.template.pieces
    at = {hole.index: number for number, hole in enumerate(holes) if isinstance(hole, LiteralHole)}
    listed = range(cut.first, cut.first + KEPT * cut.width)
    anchor = next((index for index in listed[: cut.width] if index in at), None)
    if anchor is None or not _known(plan).issuperset(listed):
        return None
    places = [at.get(anchor + number * cut.width) for number in range(KEPT)]
    one, two, three = (-1 if place is None else place for place in places)
    block, printed = holes[two:three], pieces[two + 1 : three + 1]
    if not 0 <= one < two < three or [_moved(hole, cut.width) for hole in holes[one:two]] != list(block):
        return None
    if pieces[one + 1 : two + 1] != printed:
        return None
    more = [_moved(hole, number * cut.width) for number in range(1, cut.extra + 1) for hole in block]
    template = Template(
        pieces[: three + 1] + printed * cut.extra + pieces[three + 1 :],
        (*holes[:three], *more, *(_later(hole, cut) for hole in holes[three:])),
    )
    positions = _positions(plan.positions, cut, len(block), sum(len(piece) for piece in printed))
    return replace(plan, template=template, checks=_checks(plan, cut), positions=positions, restore=None)


def _shifted(hole: LiteralHole, by: int) -> LiteralHole:
    return LiteralHole(hole.index + by, hole.kind)


def _moved(hole: Hole, by: int) -> Hole:
    return _shifted(hole, by) if isinstance(hole, LiteralHole) else hole


def _later(hole: Hole, cut: Collapsed) -> Hole:
    """A hole of the third item or behind the list, which the further items push back."""
    behind = isinstance(hole, LiteralHole) and hole.index >= cut.first + (KEPT - 1) * cut.width
    return _moved(hole, cut.extra * cut.width) if behind else hole


def _checks(plan: Forward, cut: Collapsed) -> tuple[KeyCheck, ...]:
    """What is asked of the second item's value for the tenant column is asked of each further item's."""
    second = range(cut.first + cut.width, cut.first + (KEPT - 1) * cut.width)
    found: list[KeyCheck] = []
    for check in plan.checks:
        hole = check.value
        if not isinstance(hole, LiteralHole):
            found.append(check)
        elif hole.index in second:
            found += [replace(check, value=_shifted(hole, number * cut.width)) for number in range(cut.extra + 1)]
        else:
            found.append(
                replace(check, value=_shifted(hole, cut.extra * cut.width if hole.index >= second.stop else 0))
            )
    return tuple(found)


def _positions(packed: bytes, cut: Collapsed, holes: int, printed: int) -> bytes:
    """The places of the second item once more for each further one; what comes after it is pushed back. holes,
    printed: of an item, and its bytes besides.
    """
    entries = array("I")
    entries.frombytes(packed)
    step = (holes, printed, cut.width, cut.length)
    found = array("I")
    second: list[tuple[int, int]] = []
    for at in range(0, len(entries), FIELDS):
        entry = entries[at : at + FIELDS]
        if entry[3] < cut.start + cut.length:  # before the list, or in its first item
            found += entry
        elif entry[3] < cut.start + 2 * cut.length:
            second += zip(entry, step, strict=True)
        else:
            found.extend(value + cut.extra * by for value, by in zip(entry, step, strict=True))
    for number in range(cut.extra + 1):
        found.fromlist([value + number * by for value, by in second])
    return found.tobytes()
