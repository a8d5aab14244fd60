"""Which tables of two sides are the same one, which of their columns can be compared, and what is not alike. Pure.

A table is told by schema and name, a column by name; a type is told as format_type prints it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

At = tuple[str, str]  # schema and name
Shape = Mapping[str, str]  # the columns of a table in their order, and their types


@dataclass(frozen=True, slots=True)
class Pair:
    """A table. left, right: None on a side that has none."""

    at: At
    left: Shape | None
    right: Shape | None

    @property
    def title(self) -> str:
        """For people."""
        return self.at[1] if self.at[0] == "public" else ".".join(self.at)

    @property
    def both(self) -> bool:
        return self.left is not None and self.right is not None

    @property
    def common(self) -> tuple[str, ...]:
        """The columns of both, in the left's order."""
        right = self.right or {}
        return tuple(one for one in self.left or () if one in right)

    def unlike(self, sides: Sequence[str]) -> tuple[str, ...]:
        """What is not alike about the columns. sides: how the left and the right are called after "is only"."""
        ours, theirs = sides
        if self.left is None or self.right is None:
            return (f"the table is only {theirs if self.left is None else ours}",)
        return (
            *(f"{one} is only {ours}" for one in self.left if one not in self.right),
            *(f"{one} is only {theirs}" for one in self.right if one not in self.left),
            *(
                f"{one} is {self.left[one]} {ours}, {self.right[one]} {theirs}"
                for one in self.common
                if self.left[one] != self.right[one]
            ),
        )


def paired(left: Mapping[At, Shape], right: Mapping[At, Shape]) -> tuple[Pair, ...]:
    """Every table of either, by name."""
    return tuple(Pair(at, left.get(at), right.get(at)) for at in sorted(left.keys() | right.keys()))
