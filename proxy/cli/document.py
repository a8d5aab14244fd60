"""The document of a tenant that is to change while proxies serve it: where it stands, and how it is replaced.

Promises: a text takes the place of one that was known and of no other, whole or not at all, by one writer at a time;
and proxies can be asked to read the rules as they will be before that. What the change is, and when it is made, is the
caller's. A text is compared as `read` and `edited` give it, whatever form it has where it stands.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from proxy.errors import ConfigurationError
from proxy.fleet.control import Prepare, Request
from proxy.fleet.rulefiles import one_writer, write_draft, write_over
from proxy.fleet.tables import read_rules
from proxy.tenancy.documents import Changes, edited
from proxy.tenancy.load import Reading
from proxy.tenancy.models import Tenant
from proxy.tenancy.rulebook import RuleBook


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


def file_of(tenant: str, rules: Path) -> Path:
    """The rule file that has the tenant. ConfigurationError when none has."""
    reading = Reading(rules, os.environ)
    for source in reading.sources:
        if isinstance(source.model, Tenant) and source.model.tenant == tenant and isinstance(source.file, Path):
            return source.file
    more = "; in a table it is changed with --table" if reading.tables else ""
    raise ConfigurationError([*reading.problems, f"there is no tenant {tenant} in the rule files{more}"])
