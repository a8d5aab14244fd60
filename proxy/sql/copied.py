"""What becomes of the rows of a COPY: relayed to the client, given the tenant column, or inserted.

Values only, made by copy.py and insertion.py and read by the session.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.sql.plan import Forward, KeyCheck, Template
from proxy.sql.restored import Restore
from proxy.wire.copyfields import Shape
from proxy.wire.copyformat import CopyFormat


@dataclass(frozen=True, slots=True)
class CopyOut:
    """COPY ... TO STDOUT: rows of the server's are relayed as they are."""


@dataclass(frozen=True, slots=True)
class Insertion:
    """A COPY FROM that is sent as INSERTs. parts: with NUL between, the text before the rows, what stands around the
    fields of a row, and the text behind the rows. order: which field stands where, from 0; lone: the fields in whose
    place DEFAULT may stand; types: of the parameters; checks: asked of each row, with the numbers of its fields from 1;
    restore: of one row.
    """

    parts: Template
    order: tuple[int, ...]
    lone: frozenset[int]
    types: tuple[int, ...]
    shape: Shape
    checks: tuple[KeyCheck, ...] = ()
    restore: Restore | None = None


@dataclass(frozen=True, slots=True)
class CopyIn:
    """COPY table FROM STDIN: what the session does with the rows. fields: columns of a row of the client's. supplied:
    the tenant column, of this type and with the tenant's value of `key`, which is put before each row; "": the rows
    have it themselves. format None: the server must refuse the options, and no row may come. insert: rows go in as
    INSERTs."""

    table: str
    fields: int
    format: CopyFormat | None
    supplied: str = ""
    key: str = ""
    type: str = ""
    insert: Insertion | None = None


def inserts(plan: object) -> bool:
    """Is it a COPY FROM whose rows are inserted?"""
    return isinstance(plan, Forward) and isinstance(plan.copy, CopyIn) and plan.copy.insert is not None
