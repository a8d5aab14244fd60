"""The document of a new tenant, and a word or two changed in a file that people wrote.

A file is changed where the word stands, and nowhere else: comments, order and quoting stay as they are. What comes out
is read again and must say what it said before but for that; else nothing is changed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import yaml

Changes = Mapping[str, Any]
"""Keys of a document, and what each is to say; None: nothing."""
NONE: Changes = MappingProxyType({})
NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
COMMENT = re.compile(r"(?:^|(?<=\s))#.*", re.MULTILINE)  # and what looks like one


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
    return edited(text, tenant, {"disabled": disabled})


def home_of(
    server: str | None,
    password: str | None,
    mode: str | None = None,
    schema: str | None = None,
    login: str | None = None,
    keys: Changes = NONE,
) -> Changes:
    """What the document of a tenant says that is at this server, in this mode. None: as it stands there; password: as
    it is to stand there, of the role that `server` or `login` names; keys: as keys_of has them. What the mode has no
    place for is to say nothing.
    """
    values: dict[str, Any] = dict(keys)
    if server is not None:
        values["server"] = server
    if mode is not None:
        values["isolation"] = mode
    if schema is not None or mode not in (None, "schema"):
        values["schema"] = schema
    if login is not None or mode in ("row", "database"):
        values["server_login"] = login
    if any(one is not None for one in (server, password, login)) or mode in ("row", "database"):
        values["password"] = password
    return values


def edited(text: str, tenant: str, values: Changes) -> str:
    """The text of a rule file in which the tenant's document says this; the same where it does already.
    ValueError where a hand must do it.
    """
    documents = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
    names = [_pairs(node).get("tenant") for node in documents]
    number = next(
        (at for at, one in enumerate(names) if isinstance(one, yaml.ScalarNode) and one.value == tenant), None
    )
    if number is not None:
        if _says(list(yaml.load_all(text, Loader=yaml.CSafeLoader))[number], values):
            return text  # in whatever words
        changed = text
        for key, value in values.items():
            node = list(yaml.compose_all(changed, Loader=yaml.CSafeLoader))[number]
            if value is not None or key in _pairs(node):
                changed = _changed(changed, node, key, json.dumps(value, ensure_ascii=False))
        if _as_wanted(text, changed, number, values):
            return changed
    said = ", ".join(f"{key}: {json.dumps(value)}" for key, value in values.items() if value is not None)
    raise ValueError(f"the document cannot be changed safely; write `{said}` into it by hand")


def _says(document: Mapping[str, Any], values: Changes) -> bool:
    return all(one_form(document.get(key)) == one_form(value) for key, value in values.items())


def one_form(value: Any) -> str:
    """By which values of documents are compared, as JSON: 1, true and "1" are three."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=repr)


def _pairs(node: yaml.Node) -> dict[Any, yaml.Node]:
    return {one.value: value for one, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _changed(text: str, node: yaml.Node, key: str, word: str) -> str:
    pairs = _pairs(node)
    present = pairs.get(key)
    if present is not None:
        return text[: present.start_mark.index] + word + text[_end(present) :]
    if isinstance(node, yaml.MappingNode) and node.flow_style:
        at = node.start_mark.index + 1
        return f"{text[:at]}{key}: {word}, {text[at:]}"
    end = text.find("\n", pairs["tenant"].end_mark.index)
    end = len(text) if end < 0 else end
    return f"{text[:end]}\n{' ' * node.start_mark.column}{key}: {word}{text[end:]}"


def _end(node: yaml.Node) -> int:
    """Where what is written ends: a block has its last value's end, and not that of the comments behind it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    return int(node.end_mark.index)


def _as_wanted(before: str, after: str, number: int, values: Changes) -> bool:
    try:
        old, new = (list(yaml.load_all(one, Loader=yaml.CSafeLoader)) for one in (before, after))
    except yaml.YAMLError:
        return False
    if Counter(COMMENT.findall(before)) - Counter(COMMENT.findall(after)):
        return False
    there = {key: value for key, value in values.items() if value is not None or key in old[number]}
    old[number] = {**old[number], **there}
    return old == new
