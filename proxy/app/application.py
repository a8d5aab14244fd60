"""App: one proxy process, and what its parts share. A reload takes everything anew, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.accounting.bookkeeper import Bookkeeper
from proxy.app.backups import Backups
from proxy.app.draft import Draft, draft_of
from proxy.app.elsewhere import Elsewhere
from proxy.app.inputs import certificate_of, servable
from proxy.doctor.canaries import Canaries
from proxy.errors import ConfigurationError
from proxy.fleet.control import Prepare, PrepareRow
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
    """Rules that were read before their document says so. base: those in force at that time. taken: by take()."""

    base: RuleBook
    draft: Draft
    book: RuleBook
    taken: bool = False


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

            async def in_force() -> None:
                self.tls = tls
                await self._follow(book)

            try:
                await self.databases.reconcile(book.grants.values(), in_force)
            except ConfigurationError:
                await self.verifiers.reconcile(self.book.logins.values())  # the old ones stay
                raise
        except ConfigurationError as error:
            self.reload_failed = True
            log.error("rules refused, the old ones stay", generation=self.book.generation, problems=error.problems)
            return error.problems
        return []

    async def prepare(self, request: Prepare | PrepareRow) -> list[str]:
        """Reads the rules as if a document were what its draft is, and opens what they name; what is wrong with that.
        Nothing of it is in force before take() or notice().
        """
        self.readied = None
        async with self._reloading:
            try:
                draft = await draft_of(request, self.settings.rules, self.book)
                read = await read_beside(self.settings.rules, self.environ, self.book, {draft.spot: draft.text})
                book = self.canaries.admitted(servable(self.settings, read))
                await self.databases.reconcile([*self.book.grants.values(), *book.grants.values()])
            except ConfigurationError as error:
                return error.problems
            unopened = await self.databases.unopened(self.book.grants.values(), book.grants.values())
            closed = sorted({one.tenant for one in unopened})
            if closed:
                return [
                    f"the place of tenant {one} could not be opened; the log of the proxy says why" for one in closed
                ]
            self.readied = Readied(self.book, draft, book)
            return []

    async def take(self, draft: str) -> bool:
        """The rules that prepare() made of this draft are in force now, which is told once. False where they are not
        those of the files and rows, or others came meanwhile: then a reload is due.
        """
        async with self._reloading:
            readied = self.readied
            if readied is None or readied.draft.name != draft or readied.taken:
                return False
            return await self._stands(readied, told=True)

    async def notice(self) -> bool:
        """A table has other rows. True where they are those that prepare() was told of and no others, and in force now;
        else a reload is due. So what every process notices at once as a tenant moves is read by none.
        """
        async with self._reloading:
            return self.readied is not None and await self._stands(self.readied, told=False)

    async def _stands(self, readied: Readied, *, told: bool) -> bool:
        """Takes these rules if they are those of now. told: by who changed the document; else nothing else may have
        changed either.
        """
        self.readied = None
        if self.book is not readied.base and self.book is not readied.book:
            return False
        found = await readied.draft.stands(readied.book)
        if found is None or not (told or found[1]):
            return False
        if self.book is not readied.book:
            await self._follow(found[0])
        self.readied = Readied(self.book, readied.draft, self.book, readied.taken or told)
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
        self.pools.follow(book.grants.values())
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
