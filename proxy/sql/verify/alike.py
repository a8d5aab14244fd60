"""Alike: is one tree the other with other keys in place of these? What was proved of one then holds of the other.

Strict: a string that equals a key must be that key's counterpart, so that no plan rests on the value of a key. A no is
no verdict; the other tree is proved by itself then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PLACES = frozenset(
    {"location", "stmt_location", "stmt_len", "list_start", "list_end", "rexpr_list_start", "rexpr_list_end"}
)


def same_but_keys(tree: Any, other: Any, keys: Mapping[str, str], other_keys: Mapping[str, str]) -> bool:
    """True where `other` is `tree` with `other_keys` for `keys`, places aside."""
    swapped = {value: other_keys[name] for name, value in keys.items()}
    stack = [(tree, other)]
    while stack:
        one, two = stack.pop()
        if type(one) is not type(two):
            return False
        if type(one) is dict:
            names = one.keys() - PLACES
            if names != two.keys() - PLACES:
                return False
            stack += [(one[name], two[name]) for name in names]
        elif type(one) is list:
            if len(one) != len(two):
                return False
            stack += zip(one, two, strict=True)
        elif two != (swapped.get(one, one) if type(one) is str else one):
            return False
    return True
