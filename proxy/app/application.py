"""App: one proxy process, and what its parts share. A reload takes everything anew, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy.accounting.bookkeeper import Bookkeeper
from proxy.app.backups import Backups
from proxy.app.elsewhere import Elsewhere
from proxy.app.inputs import certificate_of, servable
from proxy.doctor.canaries import Canaries
from proxy.errors import ConfigurationError
from proxy.fleet.databases import Databases
from proxy.fleet.leash import Post
from proxy.fleet.rationing import StoreRationing
from proxy.fleet.reading import read_beside
from proxy.fleet.storage import Storages
from proxy.fleet.tables import Tables
from proxy.fleet.verifiers import Verifiers
from proxy.observe.log import get_logger
from proxy.pool.listening import Listening
from proxy.pool.pools import Pools
from proxy.quota.budgets import Budgets
from proxy.server.listener import Listener
from proxy.server.tls import ServerTls
from proxy.session.traffic import Traffic
from proxy.settings import Settings
from proxy.tenancy.rulebook import RuleBook


@dataclass(frozen=True, slots=True)
class Readied:
    """Rules that were read before they stand in their file. base: those in force at that time."""

    base: RuleBook
    path: Path
    draft: str
    text: str
    book: RuleBook


@dataclass(slots=True)
class App:
    """One proxy process, and what its parts share."""

    settings: Settings
    environ: Mapping[str, str]
    book: RuleBook
    databases: Databases
    pools: Pools
    canaries: Canaries
    port: int = 0  # that clients connect to, once it is listening
    listener: Listener = field(init=False)
    listening: Listening = field(init=False)
    sharing: StoreRationing | None = None  # limits, with other processes
    bookkeeper: Bookkeeper = field(init=False)
    counters: Traffic = field(default_factory=Traffic)
    reload_failed: bool = False
    tls: ServerTls | None = None
    verifiers: Verifiers = field(default_factory=Verifiers)
    post: Post | None = None  # its place among workers; None: it is alone
    elsewhere: Elsewhere = field(init=False)
    storages: Storages = field(init=False)
    backups: Backups = field(init=False)
    tables: Tables = field(default_factory=lambda: Tables(lambda: None, lambda why: None))
    budgets: Budgets = field(default_factory=Budgets)  # of this process alone, unless serve() gives others
    readied: Readied | None = None
    leaving: set[str] = field(default_factory=set)  # tenants that no rules name, of which something is left
    _reloading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _queued: asyncio.Future[list[str]] | None = None  # the reload that has yet to begin

    @property
    def number(self) -> int:
        """Among the workers; 0 is the first."""
        return 0 if self.post is None else self.post.number

    @property
    def workers(self) -> int:
        """How many there are."""
        return 1 if self.post is None else self.post.workers

    async def reload(self) -> list[str]:
        """Takes the rules and the certificate for clients anew, whole or not at all; what is wrong with them. One after
        the other; who asks while another waits for its turn has asked for that one.
        """
        if self._queued is None:
            self._queued = asyncio.ensure_future(self._next())
        return await asyncio.shield(self._queued)

    async def _next(self) -> list[str]:
        async with self._reloading:
            self._queued = None
            return await self._reload()

    async def _reload(self) -> list[str]:
        log = get_logger("rules")
        try:
            tls = certificate_of(self.settings)
            read = await read_beside(self.settings.rules, self.environ, self.book)
            book = self.canaries.admitted(servable(self.settings, read))
            await self.verifiers.reconcile(book.logins.values())
            try:
                await self.databases.reconcile(book.grants.values())
            except ConfigurationError:
                await self.verifiers.reconcile(self.book.logins.values())  # the old ones stay
                raise
        except ConfigurationError as error:
            self.reload_failed = True
            log.error("rules refused, the old ones stay", generation=self.book.generation, problems=error.problems)
            return error.problems
        self.tls = tls
        await self._follow(book)
        return []

    async def prepare(self, file: str, draft: str) -> list[str]:
        """Reads the rules as if `file` of their folder had the text of `draft`, and opens what they name; what is wrong
        with that. Nothing of it is in force before take().
        """
        self.readied = None
        async with self._reloading:
            path = self.settings.rules / file
            if any(part == ".." or part.startswith("/") for name in (file, draft) for part in Path(name).parts):
                return [f"{file} is not in the folder of rule files"]
            try:
                text = (self.settings.rules / draft).read_text(encoding="utf-8")
                path.stat()
            except (OSError, ValueError):  # not UTF-8, or a name with a NUL
                return [
                    f"{self.settings.rules} of this process has no {draft} beside {file}: it reads other rule files"
                ]
            try:
                read = await read_beside(self.settings.rules, self.environ, self.book, {path: text})
                book = self.canaries.admitted(servable(self.settings, read))
                await self.databases.reconcile([*self.book.grants.values(), *book.grants.values()])
            except ConfigurationError as error:
                return error.problems
            known = {(one.server, one.credentials) for one in self.book.grants.values()}
            new = [one for one in book.grants.values() if (one.server, one.credentials) not in known]
            closed = sorted({one.tenant for one in new if not self.databases.is_open(one)})
            if closed:
                return [
                    f"the place of tenant {one} could not be opened; the log of the proxy says why" for one in closed
                ]
            self.readied = Readied(self.book, path, draft, text, book)
            return []

    async def take(self, draft: str) -> bool:
        """The rules that prepare() read from this draft are in force now. False where they are not those of the files,
        or others came meanwhile: then a reload is due.
        """
        readied, self.readied = self.readied, None
        if readied is None or readied.draft != draft or self._reloading.locked():
            return False
        try:
            now = readied.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return False
        if readied.base is not self.book or now != readied.text:
            return False
        async with self._reloading:
            await self._follow(readied.book)
        return True

    async def _follow(self, book: RuleBook) -> None:
        """These rules are in force, and what else there is goes by them."""
        log = get_logger("rules")
        self.reload_failed = False
        self.book = book
        await self.tables.follow(book.tables)
        self.budgets.forget(book.tenants, lambda tenant, login: book.tenant_of(login) == tenant)
        self.storages.follow(book.grants.values())
        self.backups.follow(book)
        self.leaving = {*self.counters.tenants(), *self.pools.tenants()} - set(book.tenants)
        await self.canaries.start(book, self.settings.listen.host, self.port)
        log.info("rules loaded", generation=book.generation, tenants=len(book.tenants), logins=len(book.logins))

    def forget(self) -> None:
        """What is kept of tenants that no rules name, once they have no session and their use is in the journal."""
        for tenant in tuple(self.leaving):
            counted = self.counters.idle(tenant)
            if counted is None or not all(self.bookkeeper.has(one) for one in counted.values()):
                continue
            if not self.pools.forget(tenant):
                continue
            for login, one in counted.items():
                self.bookkeeper.forget(tenant, login, one)
            self.counters.forget(tenant)
            self.storages.forget(tenant)
            self.listener.shares.forget(tenant)
            self.leaving.discard(tenant)
