"""Fairness: how a total is divided among those who want parts of it, by weighted max-min, in whole units.

Promises: nobody gets more than it wants; nothing is left while anybody wants more; and whoever got less than it wants
could have more only at the cost of somebody who has no more for its weight. Units are given one by one to whoever has
least for its weight, so everybody has one before the heaviest has two; among equals the first comes first.
Source: Bertsekas and Gallager, Data Networks, "Max-Min Flow Control".
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush


def max_min(total: int, demands: Sequence[int], weights: Sequence[float] | None = None) -> list[int]:
    """The part of each, in the order of `demands`. Weights are above 0, and 1 unless given.

    ValueError for a negative total or demand, a weight that is not above 0, or as many weights as are not demands.
    """
    if total < 0 or any(one < 0 for one in demands):
        raise ValueError("a total and demands are not negative")
    if weights is None:
        weights = [1.0] * len(demands)
    if len(weights) != len(demands) or not all(0 < one < float("inf") for one in weights):
        raise ValueError("there is one weight above 0 for each demand")
    if sum(demands) <= total:
        return list(demands)
    parts = _sure(total, demands, weights)
    left = total - sum(parts)
    line = [(part / weights[one], one) for one, part in enumerate(parts) if part < demands[one]]
    heapify(line)
    while left:
        _, one = heappop(line)
        parts[one] += 1
        left -= 1
        if parts[one] < demands[one]:
            heappush(line, (parts[one] / weights[one], one))
    return parts


def level(total: int, demands: Sequence[int], weights: Sequence[float]) -> float:
    """The height at which the last unit is given: who has more than this for its weight gets no other one while there
    is anybody who has not. inf when there is enough for all.
    """
    if sum(demands) <= total:
        return float("inf")
    weight = weights[0]
    if all(one == weight for one in weights):
        return _even(total, demands) / weight
    parts = max_min(total, demands, weights)
    return max((part - 1) / weight for part, weight in zip(parts, weights, strict=True))


def _even(total: int, demands: Sequence[int]) -> int:
    """The height where all weights are 1."""
    left = total
    for count, want in zip(range(len(demands), 0, -1), sorted(demands), strict=True):
        if want * count > left:
            return -(-left // count) - 1
        left -= want
    raise AssertionError("there is enough for all")


def _sure(total: int, demands: Sequence[int], weights: Sequence[float]) -> list[int]:
    """What each gets for certain, so that few units are left to be given one by one.

    When the last unit is given at the height h, each has at most h * weight + 1, so that these make up the total; and
    whoever wants more has at least h * weight. The height is found from those that want least for their weight on;
    one less than that is safe from the rounding of floats.
    """
    order = sorted(range(len(demands)), key=lambda one: (demands[one] - 1) / weights[one])
    left, heavy = float(total - len(demands)), float(sum(weights))
    height = 0.0
    for one in order:
        height = left / heavy
        if demands[one] - 1 > height * weights[one]:
            break
        left -= demands[one] - 1
        heavy -= weights[one]
    return [min(want, max(0, int(height * weight) - 1)) for want, weight in zip(demands, weights, strict=True)]
