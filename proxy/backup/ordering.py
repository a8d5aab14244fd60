"""The order of tables by their foreign keys: what is referenced first, and which tables reference each other in a ring.

Pure, and the same answer every time. Source: R. Tarjan, "Depth-first search and linear graph algorithms" (1972).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def rings(references: Mapping[int, Sequence[int]]) -> list[tuple[int, ...]]:
    """All tables, in groups: a group comes behind those that it references. A group of more than one is a ring; a table
    that references itself is a group of its own.

    references: for each table those that it references. Tables that are no key of it are left out.
    """
    found: list[tuple[int, ...]] = []
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    open_: list[int] = []
    for root in references:
        if root in number:
            continue
        number[root] = low[root] = len(number)
        open_.append(root)
        # A walk without recursion: a chain of tables may be longer than Python's stack.
        walk = [(root, iter(references[root]))]
        while walk:
            table, rest = walk[-1]
            for one in rest:
                if one not in references:
                    continue
                if one not in number:
                    number[one] = low[one] = len(number)
                    open_.append(one)
                    walk.append((one, iter(references[one])))
                    break
                if one in open_:
                    low[table] = min(low[table], number[one])
            else:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[table])
                if low[table] == number[table]:
                    at = open_.index(table)
                    found.append(tuple(sorted(open_[at:])))
                    del open_[at:]
    return found
