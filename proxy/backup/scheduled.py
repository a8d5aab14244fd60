"""One scheduled backup, from its first byte to what it makes superfluous; and the look for the last good one.

Promises: an archive counts when it was read back from where it is, whole, as long as what was read; one that cannot be
is removed. One for recipients is sealed to a key besides that this process makes, forgets, and reads it back with: so
it is verified where nobody can read it. Only after that anything old is removed.
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
from proxy.backup.places import read
from proxy.backup.receipt import Receipt
from proxy.backup.refusal import Damaged, Refused
from proxy.backup.retention import unwanted
from proxy.backup.schedules import Done, Errand
from proxy.backup.sealing import recipient
from proxy.backup.taking import back_up
from proxy.tenancy.policy import BackupRule


async def carry_out(errand: Errand, clock: Callable[[], float]) -> Done:
    """Makes the archive, reads it back, and removes what the rule does not keep. clock: seconds since the epoch.

    Errors: those of back_up; Refused, Damaged, OSError: then there is no new archive.
    """
    grant, rule = errand.grant, errand.rule
    label = Label(grant.tenant, grant.database, errand.begun, bool(rule.recipients))
    receipt = Receipt(f"partywall {__version__}", label.name, grant.tenant, grant.database, label.begun)
    keys = [pyrage.x25519.Identity.generate()] if rule.recipients else []
    readers = [*(recipient(one) for one in rule.recipients), *(one.to_public() for one in keys)]
    under = RulesForm(generation=errand.generation, hash=grant.policy.policy_class)
    inventory = Inventory(rule.to, grant.tenant, grant.database)
    for path, _ in dead(inventory, errand.begun, errand.longest, errand.crashed):
        inventory.remove(path)
    target = inventory.begin(label, receipt)
    try:
        with writing(target, readers) as sink:
            await back_up(errand.place, grant, under, sink, errand.jobs)
        manifest, size, digest = _read_back(target, keys)
        if inventory.size(target) != size:
            raise Damaged(f"{target} is not as long as what was read of it")
        receipt = replace(
            receipt,
            moment=datetime.fromisoformat(manifest.snapshot.time).timestamp(),
            verified=clock(),
            seconds=max(0.0, clock() - errand.begun),
            size=size,
            sha256=digest,
        )
        inventory.keep(target, receipt)
    except BaseException:
        with suppress(Refused):
            inventory.discard(target)
        raise
    removed, problem = prune(inventory, rule, clock(), errand.longest)
    return Done(target, receipt, manifest.rows, tuple(removed), problem)


def dead(
    inventory: Inventory, now: float, longest: float, crashed: frozenset[int] = frozenset()
) -> list[tuple[str, str]]:
    """(path, URL) of what runs that are dead have left behind: they have a receipt that says so."""
    left = [(one.label, one.path, one.url) for one in inventory.archives() if one.receipt and not one.receipt.verified]
    left += [(label, path, path) for label, path in inventory.orphans()]
    return [(path, url) for label, path, url in left if label.begun in crashed or now - label.begun > longest]


def superfluous(inventory: Inventory, rule: BackupRule, now: float, longest: float) -> list[tuple[str, str]]:
    """(path, URL) of what the rule does not keep, the oldest first, and of what dead runs left behind."""
    good = {one.moment: one for one in inventory.archives() if one.verified}
    old = [good[moment] for moment in unwanted(good, rule.keep, now)]
    return [(one.path, one.url) for one in old] + dead(inventory, now, longest)


def prune(inventory: Inventory, rule: BackupRule, now: float, longest: float) -> tuple[list[str], str]:
    """Removes it; what was removed, and the first reason why something could not be."""
    removed: list[str] = []
    try:
        for path, url in superfluous(inventory, rule, now, longest):
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
