"""An archive with those that it builds on: found, each the one that was meant, and read together as one whole archive.

Promises: an archive is known by the hash of its manifest, which has the hash of each member, so that nothing can stand
in for what was built on; every row that is gone was there, and the rows of each table are as many as the newest archive
says. Nobody is asked but the archives. Blocking.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.backup.archive import members, unpacked
from proxy.backup.gone import Gone, numbers
from proxy.backup.manifest import BaseForm, Manifest, Member, RelationForm
from proxy.backup.places import STREAM, beside, name_of
from proxy.backup.refusal import Damaged, Refused

At = tuple[str, str]  # a table, by schema and name
Check = Callable[[str], tuple[Manifest, str]]


@dataclass(frozen=True, slots=True)
class Link:
    """An archive that was checked. identity: by what it is known."""

    archive: str
    manifest: Manifest
    identity: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A member with rows that count, but for those that are gone. first: the number of its first row."""

    at: At
    member: Member
    first: int
    gone: Gone


def linked(archive: str, bases: Sequence[str], check: Check) -> tuple[Link, ...]:
    """The archive, last, and before it what it builds on, the oldest first: of `bases`, or beside it by the names that
    it has for them. check: what `examined` gives for an archive. Refused when one is missing or another.
    """
    newest = Link(archive, *check(archive))
    if newest.manifest.bases and archive == STREAM:
        raise Refused(["an archive of only what changed is read twice; name a file"])
    given = {link.identity: link for link in (Link(one, *check(one)) for one in bases)}
    found: list[Link] = []
    for form in newest.manifest.bases:
        link = given.pop(form.manifest, None) or _beside(archive, form, check)
        if [one.manifest for one in link.manifest.bases] != [one.identity for one in found]:
            raise Damaged(f"{link.archive} does not build on what {archive} says")
        if whose(link.manifest) != whose(newest.manifest):
            raise Damaged(f"{link.archive} is not of the same tenant as {archive}")
        found.append(link)
    if given:
        raise Refused([f"{archive} does not build on {one.archive}" for one in given.values()])
    return (*found, newest)


def whose(manifest: Manifest) -> tuple[object, ...]:
    """What archives that build on each other have in common."""
    return manifest.tenant, manifest.database, manifest.isolation, manifest.schema_name, manifest.keys


def _beside(archive: str, form: BaseForm, check: Check) -> Link:
    if form.name != name_of(form.name) or form.name in ("", ".", ".."):
        raise Damaged(f"{form.name!r} is no name of an archive")
    path = beside(archive, form.name)
    missing = f"{archive} builds on {form.name} of {form.time}"
    try:
        link = Link(path, *check(path))
    except FileNotFoundError:
        raise Refused([f"{missing}, which is not beside it; name it with --base"]) from None
    if link.identity != form.manifest:
        raise Refused([f"{missing}, and {path} is another; name the right one with --base"])
    return link


class Chain:
    """Archives that were linked, as one. manifest: as that of a backup of everything at the newest one's moment."""

    def __init__(self, links: Sequence[Link], keys: Sequence[Any] = ()) -> None:
        """keys: age identities. Damaged where they do not fit together."""
        self.links = tuple(links)
        self._keys = keys
        states: dict[At, dict[int, Gone]] = {}
        for number, link in enumerate(self.links):
            states = self._next(number, link, states)
        self._pieces: list[dict[str, Piece]] = [{} for _ in self.links]
        newest = self.links[-1].manifest
        relations = tuple(self._whole(form, states[_at(form)]) for form in newest.relations)
        self.manifest = newest.model_copy(update={"format": 1, "bases": (), "relations": relations})

    def pieces(self) -> Generator[tuple[int, Piece, bytes]]:
        """All members with rows that count, as they are: the archive's place in `links`, and what it unpacks to."""
        for number, (link, wanted) in enumerate(zip(self.links, self._pieces, strict=True)):
            for member, plain in contents(link.archive, self._keys, [one.member for one in wanted.values()]):
                yield number, wanted[member.name], plain

    def contents(self, wanted: Iterable[Member]) -> Generator[tuple[Member, bytes]]:
        """Members of `manifest`, with what they unpack to."""
        names = {one.name for one in wanted}
        newest = self.links[-1]
        first = [one for one in newest.manifest.definitions if one.name in names]
        yield from contents(newest.archive, self._keys, first)
        for number, piece, plain in self.pieces():
            member = _renamed(number, piece)
            if member.name in names:
                yield member, plain if member.rows == piece.member.rows else piece.gone.without(plain, piece.first)

    def _next(self, number: int, link: Link, before: dict[At, dict[int, Gone]]) -> dict[At, dict[int, Gone]]:
        """Which rows count after this archive, by table and archive."""
        lists = [one for form in link.manifest.relations for one in form.gone]
        texts = {member.name: plain for member, plain in contents(link.archive, self._keys, lists)}
        after: dict[At, dict[int, Gone]] = {}
        for form in link.manifest.relations:
            counted = before.get(_at(form), {}) if form.builds else {}
            for removed in form.removed:
                if removed.base not in counted:
                    raise Damaged(f"{link.archive} removes rows of {form.title} that do not count")
                for one in removed.members:
                    for row in numbers(texts[one.name]):
                        counted[removed.base].add(row)
            for base in counted:
                self._check_same(form, self._form(base, _at(form)), link)
            after[_at(form)] = {**counted, number: Gone(form.rows)}
            found = sum(one.rows - len(one) for one in after[_at(form)].values())
            if form.builds and found != form.total:
                raise Damaged(f"{link.archive} has {form.total} rows of {form.title}, and its chain {found}")
        return after

    def _form(self, number: int, at: At) -> RelationForm:
        return next(one for one in self.links[number].manifest.relations if _at(one) == at)

    def _check_same(self, form: RelationForm, base: RelationForm, link: Link) -> None:
        if shape(form) != shape(base):
            raise Damaged(f"{link.archive} has other columns of {form.title} than what it builds on")

    def _whole(self, form: RelationForm, state: dict[int, Gone]) -> RelationForm:
        found = []
        for number, gone in state.items():
            first = 1
            for member in self._form(number, _at(form)).members:
                piece = Piece(_at(form), member, first, gone)
                first += member.rows
                self._pieces[number][member.name] = piece
                if (renamed := _renamed(number, piece)).rows:
                    found.append(renamed)
        return form.model_copy(update={"members": tuple(found), "builds": False, "removed": (), "total": None})


def _at(form: RelationForm) -> At:
    return form.schema_name, form.name


def shape(form: RelationForm) -> tuple[object, ...]:
    """What must be the same for rows of a table to be compared."""
    return form.tenant_column, form.key, form.columns


def _renamed(number: int, piece: Piece) -> Member:
    """As a member of the whole, where only its name and rows mean anything."""
    gone = piece.gone.count(piece.first, piece.first + piece.member.rows)
    return piece.member.model_copy(update={"name": f"{number}/{piece.member.name}", "rows": piece.member.rows - gone})


def contents(archive: str, keys: Sequence[Any], wanted: Iterable[Member]) -> Generator[tuple[Member, bytes]]:
    """These members of an archive that was verified, with what they unpack to. Each is compared with its manifest once
    more, because the file may have changed since. Damaged when one is changed or gone.
    """
    missing = {one.name: one for one in wanted}
    source = members(archive, keys)
    try:
        while missing and (found := next(source, None)) is not None:
            name, stored = found
            member = missing.pop(name, None)
            if member is None:
                continue
            if hashlib.sha256(stored).hexdigest() != member.sha256:
                raise Damaged(f"{name} has changed since it was verified")
            yield member, unpacked(name, stored)
    finally:
        source.close()
    if missing:
        raise Damaged(f"{min(missing)} is gone since it was verified")


Source = str | Chain  # where the members of a manifest are


def read_back(source: Source, keys: Sequence[Any], wanted: Iterable[Member]) -> Generator[tuple[Member, bytes]]:
    """These members with what they unpack to, of an archive, or of the manifest of a chain. Damaged as `contents`."""
    return source.contents(wanted) if isinstance(source, Chain) else contents(source, keys, wanted)
