"""What is referenced comes first; tables in a ring come together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.backup.ordering import rings

GRAPHS = st.integers(1, 12).flatmap(
    lambda size: st.fixed_dictionaries({number: st.lists(st.integers(0, size - 1)) for number in range(size)})
)


def reached(graph: dict[int, list[int]], start: int) -> set[int]:
    found, waiting = set[int](), [start]
    while waiting:
        for one in graph[waiting.pop()]:
            if one not in found:
                found.add(one)
                waiting.append(one)
    return found


@given(GRAPHS)
def test_a_group_comes_behind_those_that_it_references_and_rings_are_groups(graph: dict[int, list[int]]) -> None:
    groups = rings(graph)
    place = {one: number for number, group in enumerate(groups) for one in group}
    assert sorted(place) == sorted(graph)
    for child, parents in graph.items():
        for parent in parents:
            assert place[parent] <= place[child]
    for one in graph:
        for other in graph:
            together = other in reached(graph, one) and one in reached(graph, other)
            assert (place[one] == place[other]) == (one == other or together)


def test_a_chain_longer_than_the_stack_is_ordered() -> None:
    graph = {number: [number + 1] for number in range(5000)} | {5000: []}
    assert [one for (one,) in rings(graph)] == list(range(5000, -1, -1))


def test_a_table_that_is_not_among_them_is_left_out() -> None:
    assert rings({1: [7], 2: [1]}) == [(1,), (2,)]
