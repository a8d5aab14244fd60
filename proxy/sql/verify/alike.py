"""Alike: is one text the other with other keys in place of these? What was proved of one then holds of the other.

What the parser made of both is compared in its JSON, to the letter, so places in the texts must be the same too: keys
that are to be told apart are as long as each other. Strict: a string that equals a key must be that key's counterpart,
so that no plan rests on the value of a key. A no is no verdict; the other text is proved by itself then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson


def same_but_keys(grammar: str, other: str, keys: Mapping[str, str], other_keys: Mapping[str, str]) -> bool:
    """True where `other` is `grammar` with `other_keys` for `keys`. In JSON a string with its quotes stands for itself
    only: quotes within another are escaped.
    """
    swapped = {_string(value): _string(other_keys[name]) for name, value in keys.items()}
    if swapped:
        grammar = re.sub("|".join(map(re.escape, swapped)), lambda found: swapped[found[0]], grammar)
    return grammar == other


def _string(value: str) -> str:
    return orjson.dumps(value).decode()
