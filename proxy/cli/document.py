"""The document of a tenant that is to change while proxies serve it: in a file or in a row, and how it is replaced.

Promises: a text takes the place of one that was known and of no other, whole or not at all, by one writer at a time;
and proxies can be asked to read the rules as they will be before that. What the change is, and when it is made, is the
caller's. A text is compared as `read` and `edited` give it, whatever form it has where it stands.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import typer

from proxy.catalog.tenants import holding, rewrite_tenant, tenant_row
from proxy.catalog.watch import FAILURES
from proxy.errors import ConfigurationError
from proxy.fleet.control import Prepare, PrepareRow, Request
from proxy.fleet.rulefiles import one_writer, write_draft, write_over
from proxy.fleet.tables import read_rules
from proxy.tenancy.documents import Changes, edited, one_form
from proxy.tenancy.load import Reading
from proxy.tenancy.models import Tenant
from proxy.tenancy.policy import TenantTable
from proxy.tenancy.read import SECRET, secret
from proxy.tenancy.rulebook import RuleBook
from proxy.tenancy.servers import Place, place_of

TABLE_PASSWORD = "PARTYWALL_TABLE_PASSWORD"  # noqa: S105  # the name of a variable
LOCK_BITS = 63
Table = Annotated[
    str | None,
    typer.Option(help=f"The server of a table of tenants, by a role that may write; its password: {TABLE_PASSWORD}."),
]
T = TypeVar("T")


class Document(Protocol):
    """Of one tenant, and of one change to it."""

    @property
    def name(self) -> str:
        """Where it stands, for people."""

    @property
    def draft(self) -> str:
        """What proxies call the text that is to come, as Reload has it."""

    def edited(self, text: str) -> str:
        """What the change makes of a text; the same where it was made already. ConfigurationError where a hand must."""

    async def read(self) -> str:
        """The text as it is now."""

    async def book(self, text: str) -> RuleBook:
        """All rules as they are with this text in its place. ConfigurationError with all problems."""

    def drafted(self, text: str) -> AbstractAsyncContextManager[Request]:
        """What proxies are asked, in the block, so that they have read the rules with this text in its place."""

    async def replace(self, text: str, known: Collection[str]) -> str:
        """Puts the text there, in the place of one of those that are known. What stands there then: another where
        somebody else changed it. ConfigurationError, OSError where nobody can tell.
        """

    def forget(self) -> None:
        """No draft lies about any more."""


@dataclass(frozen=True, slots=True)
class InFile:
    """In a file of the folder `rules`. id: of the change; the draft lies beside the file, where no reader takes it for
    rules."""

    rules: Path
    file: Path
    tenant: str
    changes: Changes
    id: str

    @property
    def name(self) -> str:
        """As Document has it."""
        return str(self.file)

    @property
    def draft(self) -> str:
        """As Document has it."""
        return str(self._beside.relative_to(self.rules))

    @property
    def _beside(self) -> Path:
        return self.file.with_name(f".{self.file.name}.{self.id}")

    def edited(self, text: str) -> str:
        """As Document has it."""
        try:
            return edited(text, self.tenant, self.changes)
        except ValueError as error:
            raise ConfigurationError([f"{self.file}: {error}"]) from None

    async def read(self) -> str:
        """As Document has it."""
        return self.file.read_text(encoding="utf-8")

    async def book(self, text: str) -> RuleBook:
        """As Document has it."""
        return await read_rules(self.rules, os.environ, 1, {self.file: text})

    @asynccontextmanager
    async def drafted(self, text: str) -> AsyncIterator[Request]:
        """As Document has it. The draft stays until forget()."""
        write_draft(self.file, self._beside, text)
        yield Prepare(str(self.file.relative_to(self.rules)), self.draft)

    async def replace(self, text: str, known: Collection[str]) -> str:
        """As Document has it. By a rename."""
        with one_writer(self.rules):
            now = self.file.read_text(encoding="utf-8")
            if now == text or now not in known:
                return now
            write_over(self.file, text)
            return text

    def forget(self) -> None:
        """As Document has it."""
        self._beside.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class InRow:
    """In the row of a table that the rules name. writer: where and by whom it is written. id: of the change. Its texts
    are JSON in one form. A row holds secrets themselves, so what a change names is put in; its files are below `rules`.
    """

    rules: Path
    table: TenantTable
    writer: Place
    tenant: str
    changes: Changes
    id: str

    @property
    def name(self) -> str:
        """As Document has it."""
        return f"{self.table.name} {self.tenant}"

    @property
    def draft(self) -> str:
        """As Document has it."""
        return self.id

    def edited(self, text: str) -> str:
        """As Document has it."""
        document = json.loads(text)
        for key, value in self.changes.items():
            word = self._told(value) if isinstance(value, str) else value
            if word is not None:
                document[key] = word
            elif document.get(key) is not None:
                del document[key]
        return one_form(document)

    def _told(self, value: str) -> str:
        try:
            return SECRET.sub(lambda found: secret(found, os.environ, self.rules), value)
        except LookupError as error:
            raise ConfigurationError([f"{self.name}: {error.args[0]}"]) from None

    async def read(self) -> str:
        """As Document has it."""
        row = await self._done(tenant_row(*self.writer, self.tenant))
        if row is None or row.document is None:
            raise ConfigurationError([f"{self.table.name}: there is no tenant {self.tenant} in the table"])
        return one_form(json.loads(row.document))

    async def book(self, text: str) -> RuleBook:
        """As Document has it."""
        return await read_rules(self.rules, os.environ, 1, {(self.table, self.tenant): text})

    @asynccontextmanager
    async def drafted(self, text: str) -> AsyncIterator[Request]:
        """As Document has it. A lock there proves to proxies that their table is this one; the draft goes with it."""
        lock = secrets.randbits(LOCK_BITS)
        async with AsyncExitStack() as stack:
            await self._done(stack.enter_async_context(holding(*self.writer, lock)))
            yield PrepareRow(self.tenant, text, self.id, lock)

    async def replace(self, text: str, known: Collection[str]) -> str:
        """As Document has it. In one transaction, after whatever was sent there before has ended."""

        def decide(now: str) -> str | None:
            return self._decided(one_form(json.loads(now)), text, known)

        there = await self._done(rewrite_tenant(*self.writer, self.tenant, decide))
        return one_form(json.loads(there))

    def _decided(self, now: str, text: str, known: Collection[str]) -> str | None:
        """What is to be written over what is there; None: nothing. Nobody else writes meanwhile."""
        return text if now in known and now != text else None

    def forget(self) -> None:
        """As Document has it: there is none but while it is asked about."""

    async def _done(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except ConfigurationError:
            raise
        except FAILURES as error:
            raise ConfigurationError([f"{self.table.name}: {str(error) or type(error).__name__}"]) from None


def written_table(uri: str, rules: Path) -> tuple[TenantTable, Place, Reading]:
    """The table of the rules that is written by this URI, by which role, and the rules as they were read.
    ConfigurationError where they name no such table.
    """
    try:
        place = place_of(uri, os.environ.get(TABLE_PASSWORD))
    except ValueError as error:
        raise typer.BadParameter(f"--table {error}") from None
    reading = Reading(rules, os.environ)
    here = (place[0].addresses, place[0].database)
    for one in reading.tables:
        if (one.server.addresses, one.server.database) == here:
            return one, place, reading
    raise ConfigurationError([*reading.problems, "no tenants_from of the rule files names this table"])


def file_of(tenant: str, rules: Path) -> Path:
    """The rule file that has the tenant. ConfigurationError when none has."""
    reading = Reading(rules, os.environ)
    for source in reading.sources:
        if isinstance(source.model, Tenant) and source.model.tenant == tenant and isinstance(source.file, Path):
            return source.file
    more = "; in a table it is changed with --table" if reading.tables else ""
    raise ConfigurationError([*reading.problems, f"there is no tenant {tenant} in the rule files{more}"])
