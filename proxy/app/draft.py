"""What one document of the rules is to become, before it does: in a file, or in a row of a table of tenants.

Promises: a draft is taken only where this process itself finds the document that it is of, and stands only where that
document now is the draft's text, as this process reads it. Names prove nothing: a table is known by a lock that who
writes it holds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from proxy.catalog.tenants import tenant_row
from proxy.catalog.watch import FAILURES
from proxy.errors import ConfigurationError
from proxy.fleet.control import Prepare, PrepareRow
from proxy.tenancy.documents import one_form
from proxy.tenancy.policy import TenantTable
from proxy.tenancy.read import Spot
from proxy.tenancy.rulebook import RuleBook


@dataclass(frozen=True, slots=True)
class FileDraft:
    """Of a file. name: of the file that it lies in, below the rules."""

    name: str
    path: Path
    text: str

    @property
    def spot(self) -> Spot:
        """Where it is to stand."""
        return self.path

    async def stands(self, book: RuleBook) -> tuple[RuleBook, bool] | None:
        """The book that was made with it, where it stands now; and whether nothing else can have changed. None where
        it does not stand, or nobody can tell."""
        try:
            now = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        return (book, False) if now == self.text else None


@dataclass(frozen=True, slots=True)
class RowDraft:
    """Of a tenant's row. others: what told the version of all other rows before the book was read."""

    name: str
    table: TenantTable
    tenant: str
    text: str
    others: str

    @property
    def spot(self) -> Spot:
        """Where it is to stand."""
        return self.table, self.tenant

    async def stands(self, book: RuleBook) -> tuple[RuleBook, bool] | None:
        """As of a file; with no other row changed, the book is of the rows as they are now."""
        try:
            row = await tenant_row(self.table.server, self.table.credentials, self.tenant)
        except FAILURES:
            return None
        if row is None or row.document is None or one_form(json.loads(row.document)) != one_form(json.loads(self.text)):
            return None
        if row.others != self.others or len(book.tables) != 1:  # what other tables say was not asked
            return book, False
        return replace(book, tables=((self.table, row.mark),)), True


Draft = FileDraft | RowDraft


async def draft_of(request: Prepare | PrepareRow, rules: Path, book: RuleBook) -> Draft:
    """The draft that is asked about. ConfigurationError where this process has no such document. book: in force."""
    if isinstance(request, PrepareRow):
        return await _row_draft(request, book)
    file, draft = request.file, request.draft
    path = rules / file
    if any(part == ".." or part.startswith("/") for name in (file, draft) for part in Path(name).parts):
        raise ConfigurationError([f"{file} is not in the folder of rule files"])
    try:
        text = (rules / draft).read_text(encoding="utf-8")
        path.stat()
    except (OSError, ValueError):  # not UTF-8, or a name with a NUL
        why = f"{rules} of this process has no {draft} beside {file}: it reads other rule files"
        raise ConfigurationError([why]) from None
    return FileDraft(draft, path, text)


async def _row_draft(request: PrepareRow, book: RuleBook) -> RowDraft:
    for table, _ in book.tables:
        try:
            row = await tenant_row(table.server, table.credentials, request.tenant, request.lock)
        except FAILURES as error:
            raise ConfigurationError([f"{table.name}: {str(error) or type(error).__name__}"]) from None
        if row is not None:
            return RowDraft(request.draft, table, request.tenant, request.text, row.others)
    why = f"this process does not read the table with {request.tenant}'s row where that is written: it has other rules"
    raise ConfigurationError([why])
