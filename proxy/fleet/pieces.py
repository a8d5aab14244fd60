"""A rule book in pieces: so many logins or grants at a time that taking one holds the loop up for a few milliseconds.

What is equal in the book before stays the very object it was, so that whatever hangs on it stays as well; policies are
told apart by their class, which is a hash over all that is in them. Pickle is safe here because both ends are this
program and the pipe is inherited, never opened by name.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import islice
from typing import Any, TypeVar

from proxy.tenancy.policy import Grant, Login, Policy
from proxy.tenancy.rulebook import GrantKey, RuleBook

Part = TypeVar("Part", Login, Grant)
PIECE = 50  # logins or grants


class _Pickler(pickle.Pickler):
    """Policies are numbers: there are few, each is large, and they went first."""

    def __init__(self, sink: BytesIO, numbers: dict[int, int]) -> None:
        super().__init__(sink, pickle.HIGHEST_PROTOCOL)
        self._numbers = numbers

    def persistent_id(self, one: Any) -> int | None:
        return self._numbers[id(one)] if type(one) is Policy else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, source: BytesIO, policies: Sequence[Policy]) -> None:
        super().__init__(source)
        self._policies = policies

    def persistent_load(self, pid: Any) -> Policy:
        policy: Policy = self._policies[pid]
        return policy


def split(book: RuleBook) -> Iterator[bytes]:
    """The book's pieces, in the order in which they are taken."""
    policies = list({id(one.policy): one.policy for one in book.grants.values()}.values())
    numbers = {id(one): number for number, one in enumerate(policies)}
    yield pickle.dumps(policies, pickle.HIGHEST_PROTOCOL)
    for piece in (*_slices(book.logins.items()), *_slices(book.grants.items()), replace(book, logins={}, grants={})):
        sink = BytesIO()
        _Pickler(sink, numbers).dump(piece)
        yield sink.getvalue()


def _slices(items: Iterable[Any]) -> Iterator[list[Any]]:
    every = iter(items)
    while piece := list(islice(every, PIECE)):
        yield piece


class Joiner:
    """Takes the pieces of one book. before: the book whose equal parts are kept."""

    def __init__(self, before: RuleBook) -> None:
        self._before = before
        self._policies: list[Policy] | None = None
        self._logins: dict[str, Login] = {}
        self._grants: dict[GrantKey, Grant] = {}

    def take(self, piece: bytes) -> RuleBook | None:
        """The next one; the book, once it is whole."""
        if self._policies is None:
            known = {one.policy.policy_class: one.policy for one in self._before.grants.values()}
            fresh: list[Policy] = pickle.loads(piece)  # noqa: S301  # our own child's bytes over an inherited pipe
            self._policies = [old if (old := known.get(one.policy_class)) == one else one for one in fresh]
            return None
        found = _Unpickler(BytesIO(piece), self._policies).load()
        if isinstance(found, RuleBook):
            return replace(found, logins=self._logins, grants=self._grants)
        for name, one in found:
            if isinstance(one, Login):
                self._logins[name] = _kept(self._before.logins.get(name), one)
            else:
                self._grants[name] = _kept(self._before.grants.get(name), one)
        return None


def _kept(old: Part | None, new: Part) -> Part:
    return old if old is not None and old == new else new
