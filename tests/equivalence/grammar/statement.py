"""One statement out of a seed and a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.equivalence.grammar.changes import Changes
from tests.equivalence.grammar.dice import Dice
from tests.equivalence.grammar.sources import Query
from tests.equivalence.grammar.tables import Scope


@dataclass(frozen=True, slots=True)
class Statement:
    """What a client sends. parameters: (type OID or 0, value) of each `$n`; ordered: whether the order of its rows is
    fixed; binary: whether results are asked for in binary; loud: an expression that may throw stands outside the
    target list.
    """

    number: int
    text: str
    parameters: tuple[tuple[int, str | None], ...]
    extended: bool
    ordered: bool
    binary: bool
    loud: bool
    productions: Counter[str]


def generate(seed: int, number: int, major: int = 15) -> Statement:
    """The statement of this number; the same one for the same arguments, whatever was generated before."""
    dice = Dice(f"{seed}/{number}")
    extended = dice.maybe("protocol.extended", 0.5)
    writer = Changes(dice, bound=extended and dice.random() < 0.7)
    writer.ctes = []
    writer.major = major
    depth = dice.choices([0, 1, 2, 3], [1, 4, 4, 1.2])[0]
    head = ""
    if dice.maybe("statement.with", 0.22):
        head = writer.with_clause(min(depth, 2), lambda: writer.change(min(depth, 1)))
    options: dict[str, Callable[[], Query]] = {
        "query": lambda: writer.query(Scope([], []), depth),
        "lock": lambda: writer.simple_select(Scope([], []), depth, lock=True),
        "change": lambda: writer.produce_change(min(depth, 2)),
    }
    made = dice.produce("statement", options, {"query": 6, "lock": 0.4, "change": 2.2})
    return Statement(
        number,
        head + made.text,
        tuple(writer.parameters),
        extended,
        made.ordered,
        extended and dice.maybe("protocol.binary", 0.2),
        writer.loud_outside,
        dice.counts,
    )
