"""The document of a new tenant, and one word changed in a file that people wrote.

A file is changed where the word stands, and nowhere else: comments, order and quoting stay as they are. What comes out
is read again and must say what it said before but for that word; else nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


def keys_of(given: Sequence[str]) -> dict[str, Any]:
    """`key` or `keys` of a document, from texts such as `7`, or `default=7` and `slug=acme`. ValueError when they are
    mixed, or none.
    """
    if not given:
        raise ValueError("no key is given")
    named = [NAMED.fullmatch(one) for one in given]
    if len(given) == 1 and named[0] is None:
        return {"key": _value(given[0])}
    found = {one[1]: _value(one[2]) for one in named if one is not None}
    if len(found) != len(given):
        raise ValueError("several keys are given as NAME=VALUE, each name once")
    return {"keys": found}


def _value(text: str) -> str | int:
    """An integer where it is written as one would be; 007 is a text."""
    return int(text) if re.fullmatch(r"-?[0-9]+", text) and str(int(text)) == text else text


def tenant_document(
    name: str, keys: Mapping[str, Any], databases: Sequence[str], login: str, verifier: str
) -> dict[str, Any]:
    """A tenant with one login."""
    return {"tenant": name, **keys, "databases": list(databases), "logins": {login: {"verifier": verifier}}}


def as_yaml(document: Mapping[str, Any]) -> str:
    """The text of a file with this document."""
    text: str = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=1000)
    return text


def switched(text: str, tenant: str, disabled: bool) -> str:
    """The text of a rule file in which the tenant is disabled, or is not. ValueError where a hand must do it."""
    documents = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
    for number, node in enumerate(documents):
        pairs = {one.value: value for one, value in node.value} if isinstance(node, yaml.MappingNode) else {}
        name = pairs.get("tenant")
        if isinstance(name, yaml.ScalarNode) and name.value == tenant:
            changed = _changed(text, node, pairs, "true" if disabled else "false")
            if _as_wanted(text, changed, number, disabled):
                return changed
            break
    raise ValueError(
        f"the document cannot be changed safely; write `disabled: {str(disabled).lower()}` into it by hand"
    )


def _changed(text: str, node: yaml.Node, pairs: Mapping[Any, yaml.Node], word: str) -> str:
    present = pairs.get("disabled")
    if present is not None:
        return text[: present.start_mark.index] + word + text[present.end_mark.index :]
    if isinstance(node, yaml.MappingNode) and node.flow_style:
        at = node.start_mark.index + 1
        return f"{text[:at]}disabled: {word}, {text[at:]}"
    end = text.find("\n", pairs["tenant"].end_mark.index)
    end = len(text) if end < 0 else end
    return f"{text[:end]}\n{' ' * node.start_mark.column}disabled: {word}{text[end:]}"


def _as_wanted(before: str, after: str, number: int, disabled: bool) -> bool:
    try:
        old, new = (list(yaml.load_all(one, Loader=yaml.CSafeLoader)) for one in (before, after))
    except yaml.YAMLError:
        return False
    old[number] = {**old[number], "disabled": disabled}
    return old == new
