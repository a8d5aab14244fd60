"""One scheduled backup, from its first byte to what it makes superfluous; and the look for the last good one.

Promises: an archive counts when it was read back from where it is, whole, as long as what was read; one that cannot be
is removed. One for recipients is sealed to a key besides that this process makes, forgets, and reads it back with: so
it is verified where nobody can read it. Only after that anything old is removed, never the one just made, and nothing
where the database's clock and this one do not agree about when that was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, BinaryIO, cast

import pyrage

from proxy import __version__
from proxy.backup.archive import members_of, writing
from proxy.backup.checking import verified
from proxy.backup.inventory import Inventory
from proxy.backup.labels import Label
from proxy.backup.manifest import Manifest, RulesForm
from proxy.backup.places import held, read
from proxy.backup.readback import Readback
from proxy.backup.refusal import Damaged, Refused
from proxy.backup.retention import unwanted
from proxy.backup.schedules import Done, Errand
from proxy.backup.sealing import recipient
from proxy.backup.taking import back_up
from proxy.tenancy.policy import BackupRule

SKEW = 60.0  # seconds that the database's clock may go wrong


async def carry_out(errand: Errand, clock: Callable[[], float]) -> Done:
    """Makes the archive, reads it back, and removes what the rule does not keep. clock: seconds since the epoch.

    Errors: those of back_up; Refused, Damaged, OSError: then there is no new archive.
    """
    grant, rule = errand.grant, errand.rule
    label = Label(grant.tenant, grant.database, errand.begun, bool(rule.recipients))
    readback = Readback(f"partywall {__version__}", label.name, grant.tenant, grant.database, label.begun)
    keys = [pyrage.x25519.Identity.generate()] if rule.recipients else []
    readers = [*(recipient(one) for one in rule.recipients), *(one.to_public() for one in keys)]
    under = RulesForm(generation=errand.generation, hash=grant.policy.policy_class)
    inventory = Inventory(rule.to, grant.tenant, grant.database)
    for path, _ in dead(inventory, errand.begun, errand.longest, errand.crashed):
        inventory.remove(path)
    target = inventory.begin(label, readback)
    try:
        with writing(target, readers) as sink:
            await back_up(errand.place, grant, under, sink, errand.jobs)
        with held(target):
            manifest, size, digest = _read_back(target, keys)
            if inventory.size(target) != size:
                raise Damaged(f"{target} is not as long as what was read of it")
            moment = datetime.fromisoformat(manifest.snapshot.time).timestamp()
            seconds = max(0.0, clock() - errand.begun)
            readback = replace(readback, moment=moment, verified=clock(), seconds=seconds, size=size, sha256=digest)
            inventory.keep(target, readback)
    except BaseException:
        with suppress(Refused):
            inventory.discard(target)
        raise
    if wrong := _apart(moment - errand.begun, seconds):
        return Done(target, readback, manifest.rows, (), wrong)
    removed, problem = prune(inventory, rule, clock(), errand.longest, errand.begun)
    return Done(target, readback, manifest.rows, tuple(removed), problem)


def _apart(after: float, seconds: float) -> str:
    """What is to be told of a moment so long after the beginning of a run that took so long."""
    if -SKEW <= after <= seconds + SKEW:
        return ""
    how = f"{-after:.0f} s behind" if after < 0 else f"{after - seconds:.0f} s ahead of"
    return f"the database's clock is {how} this host's: set both right; until then nothing old is removed"


def dead(
    inventory: Inventory, now: float, longest: float, crashed: frozenset[int] = frozenset()
) -> list[tuple[str, str]]:
    """(path, URL) of what dead runs have left behind: it has a note that says so, and nobody alive holds it."""
    begun = (one for one in inventory.archives() if one.readback and not one.readback.verified)
    left = [(one.label, one.path, one.url) for one in begun]
    left += [(label, path, path) for label, path in inventory.orphans()]
    old = [one for one in left if one[0].begun in crashed or now - one[0].begun > longest]
    return [(path, url) for _, path, url in old if not inventory.busy(path)]


def superfluous(
    inventory: Inventory, rule: BackupRule, now: float, longest: float, made: int | None = None
) -> list[tuple[str, str]]:
    """(path, URL) of what the rule does not keep, the oldest first, and of what dead runs left behind. made: when the
    one that was just made was begun; it stays. Archives count by when they were begun: that is one clock, this one.
    """
    good = {float(one.label.begun): one for one in inventory.archives() if one.verified}
    old = [good[begun] for begun in unwanted(good, rule.keep, now) if begun != made]
    needed = inventory.needed() if old else frozenset()
    old = [one for one in old if one.label.name not in needed]
    return [(one.path, one.url) for one in old] + dead(inventory, now, longest)


def prune(
    inventory: Inventory, rule: BackupRule, now: float, longest: float, made: int | None = None
) -> tuple[list[str], str]:
    """Removes it; what was removed, and the first reason why something could not be."""
    removed: list[str] = []
    try:
        for path, url in superfluous(inventory, rule, now, longest, made):
            inventory.remove(path)
            removed.append(url)
    except Refused as problem:
        return removed, problem.problems[0]
    return removed, ""


def _read_back(target: str, keys: list[Any]) -> tuple[Manifest, int, str]:
    """The manifest of an archive that is whole, how long it is, and its SHA-256."""
    with read(target) as file:
        counted = _Counted(file)
        manifest = verified(members_of(cast("BinaryIO", counted), target, keys))
        return manifest, counted.size, counted.digest.hexdigest()


class _Counted:
    """A file, and what was read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        data = self._file.read(size)
        self.size += len(data)
        self.digest.update(data)
        return data
