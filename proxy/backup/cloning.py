"""`clone`: a tenant's rows become another's, by a backup that is restored; what is masked is masked on its way.

Promises: rows are masked as they come from the server, before anything is written; what lies on the disk meanwhile is
sealed to a key that only this process has. All else is as for a backup and a restore: one snapshot, one transaction,
all or nothing. A tenant is never cloned onto itself, by whatever name its database goes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.backup.archive import writing
from proxy.backup.covering import cover
from proxy.backup.refusal import Refused
from proxy.backup.remaking import remake
from proxy.backup.restoring import Quiet, Restored, restore
from proxy.backup.sealing import passing
from proxy.backup.snapshot import READING, opened
from proxy.backup.taking import Changes, back_up
from proxy.backup.target import check_kinds

if TYPE_CHECKING:
    from proxy.backup.manifest import RulesForm
    from proxy.backup.masking import MaskingFile
    from proxy.backup.progress import Progress
    from proxy.backup.pseudonyms import Pseudonyms
    from proxy.backup.snapshot import Snapshot
    from proxy.backup.writing import Mode
    from proxy.tenancy.policy import Grant
    from proxy.tenancy.servers import Place

DOMAINS = "SELECT t.oid, t.typtypmod FROM pg_catalog.pg_type t WHERE t.typtype = 'd'"
# A standby has its primary's.
DATABASE = """
SELECT s.system_identifier::pg_catalog.text || ' ' || d.oid::pg_catalog.text
  FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
"""
ROWS = ("row", "rls")


class Masking:
    """What a masking file does to the tables of a snapshot. columns: how many it masks, once that is known."""

    def __init__(self, rules: MaskingFile, grant: Grant, key: Pseudonyms) -> None:
        self._rules = rules
        self._schema = grant.policy.schema
        self._key = key
        self.columns = 0

    async def __call__(self, snapshot: Snapshot) -> Sequence[Changes]:
        """Of each table. Refused with everything that does not fit."""
        rows = await snapshot.connection.fetch(DOMAINS)
        typmods = {row["oid"]: row["typtypmod"] for row in rows}
        found = cover(self._rules, snapshot.catalog, snapshot.kept, self._schema, typmods, self._key)
        self.columns = found.columns
        return found.changes


async def clone(
    source: tuple[Place, Grant],
    target: tuple[Place, Grant],
    under: RulesForm,
    masks: Masking | None = None,
    mode: Mode = "into-empty",
    dry_run: bool = False,
    triggers: bool = True,
    jobs: int = 2,
    pg_dump: str = "pg_dump",
    quiet: Quiet = nullcontext,
    told: Callable[[Progress], None] = lambda _: None,
) -> Restored:
    """As back_up and then restore or remake; none of it where it cannot be.

    Errors: those of proxy.catalog.watch.FAILURES; Refused.
    """
    theirs, ours = source[1], target[1]
    here, there = theirs.policy.isolation, ours.policy.isolation
    if here != there and not (here in ROWS and there in ROWS):
        raise Refused([f"{theirs.tenant} is in mode {here}, and {ours.tenant} in mode {there}: a clone keeps the mode"])
    if mode == "merge":
        raise Refused(["a clone is not merged into what is there: into-empty, or replace"])
    await _check_apart(source, target)
    secret, recipient = passing()
    with tempfile.TemporaryDirectory(prefix="partywall-clone-") as folder:
        path = str(Path(folder) / "archive")
        with writing(path, [recipient]) as sink:
            manifest = await back_up(source[0], theirs, under, sink, jobs, told, pg_dump=pg_dump, masks=masks)
        check_kinds(manifest, ours)
        if here in ROWS:
            return await restore(target[0], ours, manifest, path, [secret], mode, dry_run, triggers, quiet, told)
        return await remake(target[0], ours, manifest, path, [secret], mode, dry_run, quiet, told)


async def _check_apart(source: tuple[Place, Grant], target: tuple[Place, Grant]) -> None:
    """Refused where both are the same rows, schema or database."""
    theirs, ours = source[1], target[1]
    if theirs.policy.isolation in ROWS:
        keys = {value for name, value in theirs.keys.items() if not name.startswith("$")}
        alike = not keys.isdisjoint(value for name, value in ours.keys.items() if not name.startswith("$"))
    else:
        alike = theirs.policy.schema == ours.policy.schema
    if alike and await _database(source[0]) == await _database(target[0]):
        raise Refused([f"{ours.tenant} is there what {theirs.tenant} is: a tenant is not cloned onto itself"])


async def _database(place: Place) -> str:
    connection = await opened(place, READING)
    try:
        return str(await connection.fetchval(DATABASE))
    finally:
        await connection.close()
