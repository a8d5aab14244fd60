"""The named points at which a backup or a restore is killed: every step of every mode's way (tests/kit/killing.py)."""

from __future__ import annotations

ASYNCPG = "asyncpg.connection:Connection"
COMMIT = "asyncpg.transaction:Transaction.commit"

# Every backup, into a file.
BACKUP = (
    "proxy.cli.operator:place_for",
    "os:fsync",
    "os:fsync:after",
    "os:link",
    "os:link:after",
    "proxy.backup.snapshot:taken",
    "proxy.backup.snapshot:opened:1",
    "proxy.backup.snapshot:lock:1",
    "proxy.catalog.introspect:introspect:2:after",
    "proxy.backup.taking:_Taking.estimate",
    "proxy.backup.snapshot:opened:2",
    "proxy.backup.taking:_Taking.read:1",
    "proxy.backup.taking:_Taking.read:9:after",
    "proxy.backup.archive:packed:1:after",
    "proxy.backup.archive:_Tape.add:1",
    "proxy.backup.archive:_Tape.add:7:after",
    "proxy.backup.taking:_form:3",
    "proxy.backup.sequences:positions",
    "proxy.backup.sequences:positions:after",
    "proxy.backup.archive:finish",
    "proxy.backup.archive:finish:after",
)
# Into a folder, and for a recipient.
FOLDER = (
    "proxy.backup.archive:_Folder.add:1",
    "proxy.backup.archive:_Folder.add:6:after",
    "proxy.backup.manifest:seal",
    "pathlib:Path.replace",
    "pathlib:Path.replace:after",
)
SEALED = (
    "proxy.backup.sealing:Sealed.write:3",
    "proxy.backup.sealing:Sealed.close",
    "proxy.backup.sealing:Sealed.close:after",
)
# Of only what changed.
CHANGED = (
    "proxy.backup.chain:linked:after",
    "proxy.backup.since:Since.remember:after",
    "proxy.backup.since:Since.see:9",
    "proxy.backup.since:Since.compare:after",
    "proxy.backup.taking:_Taking.form:7:after",
)
# A restore of what changed, with what it builds on.
CHAINED = (
    "proxy.backup.chain:linked",
    "proxy.backup.chain:_beside",
    "proxy.backup.chain:_beside:2:after",
    "proxy.backup.checking:examined:3:after",
    "proxy.backup.chain:linked:after",
    "proxy.backup.chain:Chain._next:2",
    "proxy.backup.chain:Chain._next:3:after",
    "proxy.backup.chain:Chain._whole:9:after",
    "proxy.backup.chain:Chain.contents",
    "proxy.backup.chain:contents:4",  # while rows are loaded
    "proxy.backup.gone:Gone.without:1:after",
    f"{ASYNCPG}.copy_to_table:5:after",
    "proxy.backup.loading:loaded:after",
    "proxy.backup.writing:Writing.write:after",
    COMMIT,
    f"{COMMIT}:after",
)
# With definitions: of a schema or database.
DEFINED = (
    "proxy.backup.definitions:_dumped:1",
    "asyncio:create_subprocess_exec:1:after",
    "proxy.backup.definitions:_dumped:2:after",
    "proxy.backup.definitions:definitions:after",
    "proxy.backup.archive:_Tape.add:2:after",
)
# A restore into tables that tenants share.
SHARED = (
    "proxy.backup.checking:examined",
    "proxy.backup.checking:examined:after",
    "proxy.backup.target:check_kinds",
    "proxy.backup.restoring:restore",
    "proxy.backup.restoring:_planned:after",
    "proxy.backup.loading:staged:after",
    f"{ASYNCPG}.copy_to_table:1",
    f"{ASYNCPG}.copy_to_table:8:after",
    "proxy.backup.loading:loaded:after",
    "proxy.backup.keying:rekeyed:after",
    "proxy.backup.snapshot:lock",
    "proxy.backup.restoring:_unchanged:after",
    "proxy.backup.writing:Writing.leave:after",
    "proxy.backup.keying:renumbered:after",
    "proxy.backup.keying:check_shared:after",
    "proxy.backup.writing:Writing.write",
    "proxy.backup.writing:Writing._clear:after",
    "proxy.backup.writing:Writing._fill:1:after",
    "proxy.backup.writing:Writing._fill:12",
    "proxy.backup.writing:Writing._alter:5:after",
    "proxy.backup.writing:Writing.differences:2",
    "proxy.backup.writing:Writing.write:after",
    "proxy.backup.advancing:passed:after",
    COMMIT,
    f"{COMMIT}:after",
    "proxy.cli.restore:described",
)
SILENCED = ("proxy.backup.triggers:silenced", "proxy.backup.writing:Writing.write:after")
# A schema in place of the one that is there.
SCHEMA = (
    "proxy.backup.remaking:remake",
    "proxy.backup.clearing:cleared",
    "proxy.backup.clearing:cleared:after",
    "proxy.backup.remaking:_check_names:after",
    f"{ASYNCPG}.copy_to_table:1",
    f"{ASYNCPG}.copy_to_table:9:after",
    "proxy.backup.remaking:_positioned",
    "proxy.backup.remaking:_positioned:after",
    "proxy.backup.remaking:_written:after",
    "proxy.backup.clearing:finished:after",
    COMMIT,
    f"{COMMIT}:after",
)
# A database, or a schema under another name, into an empty one.
EMPTY = (
    "proxy.backup.clearing:check_empty:after",
    f"{ASYNCPG}.copy_to_table:2",
    "proxy.backup.remaking:_written:after",
    "proxy.backup.remaking:_check_names:after",
    COMMIT,
    f"{COMMIT}:after",
)
# The switch of a move whose tenant stands in a table.
ROW = (
    "proxy.cli.document:InRow.drafted:2:after",
    "proxy.cli.document:InRow.replace",
    "proxy.cli.document:InRow._decided",  # in the transaction, with nobody else writing
    "proxy.catalog.tenants:rewrite_tenant:1:after",  # the row names the target
    "proxy.cli.doors:RuleDoors.forget",  # and the proxy goes by it
)
DONE = (f"{COMMIT}:after", "proxy.cli.restore:described")  # at which a restore has been done
WHOLE = ("os:link:after", "pathlib:Path.replace:after")  # at which an archive is there
