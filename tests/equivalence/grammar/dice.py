"""Choices, made by a seed and counted by name."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


class Dice(random.Random):
    """counts: production -> how often it was chosen; a production that was offered and not chosen stands there with 0."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.counts: Counter[str] = Counter()

    def __reduce__(self) -> str:  # a Random can be pickled; one that counts is made where it is needed
        raise TypeError("make Dice from their seed")

    def count(self, production: str) -> None:
        self.counts[production] += 1

    def maybe(self, production: str, chance: float) -> bool:
        """True in `chance` of the cases, counted then."""
        taken = self.random() < chance
        self.counts[production] += taken
        return taken

    def produce(
        self, family: str, options: Mapping[str, Callable[[], T]], weights: Mapping[str, float] | None = None
    ) -> T:
        """One of the options by weight (1 where none is given), counted as family.name."""
        names = list(options)
        heavy = [(weights or {}).get(name, 1.0) for name in names]
        name = self.choices(names, heavy)[0]
        for one in names:
            self.counts[f"{family}.{one}"] += one == name
        return options[name]()

    def pick(self, family: str, names: Mapping[str, float]) -> str:
        """One of the names by weight, counted as family.name."""
        chosen = self.choices(list(names), list(names.values()))[0]
        for one in names:
            self.counts[f"{family}.{one}"] += one == chosen
        return chosen
