"""Is an archive what it was when it was written? Every member against the manifest, the manifest against its seal.

Promises: what `verified` lets pass has every member once, each with its size, hash, rows and bytes, and nothing else;
in row mode every row begins with the archive's own tenant, so a member of another tenant is found even by who has made
the checksums anew. Reads once, in constant memory. Blocking.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from proxy.backup.archive import unpacked
from proxy.backup.manifest import MANIFEST, SEAL, Manifest, Member, decode, identity, seal
from proxy.backup.pieces import NULL, beginning, rows_of, value_of
from proxy.backup.refusal import Damaged, Refused
from proxy.backup.spelling import spelt


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one member turned out to be. first: what all its rows begin with."""

    member: Member
    first: bytes | None


def _look(name: str, stored: bytes) -> _Seen:
    plain = unpacked(name, stored)
    rows = rows_of(plain) if name.startswith(("data/", "removed/")) else 0
    digest = hashlib.sha256(stored).hexdigest()
    return _Seen(
        Member(name=name, size=len(stored), sha256=digest, bytes=len(plain), rows=rows),
        beginning(plain) if rows else None,
    )


def verified(members: Iterable[tuple[str, bytes]], told: Callable[[Member], None] = lambda _: None) -> Manifest:
    """The manifest of an archive that is whole and unchanged. Damaged with the first thing that is not; Refused where
    it has only what changed: who wants that asks `examined`, and nobody else takes its rows for all.
    """
    manifest, _ = examined(members, told)
    if manifest.bases:
        raise Refused(["the archive has only what changed since another (--since), which is not looked at here"])
    return manifest


def examined(
    members: Iterable[tuple[str, bytes]], told: Callable[[Member], None] = lambda _: None
) -> tuple[Manifest, str]:
    """As `verified`, of an archive that may build on others, which are not looked at; and by what it is known."""
    seen: dict[str, _Seen] = {}
    text: bytes | None = None
    sealed = False
    for name, stored in members:
        if sealed or (text is not None and name != SEAL):
            raise Damaged(f"{name} stands behind its end")
        if name == MANIFEST:
            text = stored
        elif name == SEAL:
            if text is None:
                raise Damaged(f"{SEAL} stands before {MANIFEST}")
            if stored != seal(text):
                raise Damaged(f"{MANIFEST} is not the one that was sealed")
            sealed = True
        elif name in seen:
            raise Damaged(f"{name} is there twice")
        else:
            seen[name] = _look(name, stored)
            told(seen[name].member)
    if text is None or not sealed:
        raise Damaged("it has no manifest: it was never finished, or its end is missing")
    manifest = decode(text)
    _compare(manifest, seen)
    return manifest, identity(text)


def _compare(manifest: Manifest, seen: dict[str, _Seen]) -> None:
    wanted = {one.name: one for one in manifest.members}
    if len(wanted) != len(manifest.members):
        raise Damaged(f"{MANIFEST} names a member twice")
    for name, member in wanted.items():
        if name not in seen:
            raise Damaged(f"{name} is missing")
        found = seen[name].member
        if found.sha256 != member.sha256 or found.size != member.size:
            raise Damaged(f"{name} is not the member that was written")
        if found != member:
            raise Damaged(f"{name} has {found.rows} rows and {found.bytes} bytes, not {member.rows} and {member.bytes}")
    surplus = next((name for name in seen if name not in wanted), None)
    if surplus is not None:
        raise Damaged(f"{surplus} does not belong to it")
    for relation in manifest.relations:
        if relation.tenant_column is None and manifest.isolation not in ("row", "rls"):
            continue
        key = manifest.keys.get(relation.key or "")
        if key is None or not relation.columns or relation.columns[0].name != relation.tenant_column:
            raise Damaged(f"{MANIFEST} does not say whose rows {relation.title} has")
        kind = relation.columns[0].type
        for member in relation.members:
            first = seen[member.name].first  # as the server prints it, and not as the rules write it
            if first is None or first == NULL or spelt(value_of(first), kind) != spelt(key, kind):
                raise Damaged(f"{member.name} has rows of another tenant than {manifest.tenant}")
