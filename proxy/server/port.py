"""ClientPort: what a session is answered at once, from the services: plans, leases, its login and its grant.

Under which rules and which catalog it runs is following.py's. It has no socket of its own; client.py is the socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from proxy.errors import CannotConnectNow, InternalError, Refusal, TooManyConnections
from proxy.pool.connect import startup_of
from proxy.server.flow import Flow
from proxy.server.following import GONE, FollowingPort
from proxy.server.logins import Came, find_login
from proxy.server.overstay import Overstay
from proxy.server.proofs import Waiting
from proxy.server.services import Services
from proxy.server.sharing import BULK
from proxy.server.stopping import Cancels
from proxy.session.actions import Action, CloseFrontend, FindLogin
from proxy.session.comments import split
from proxy.session.encode import refusal_of
from proxy.session.events import LoginFound
from proxy.session.ports import Lease, Port
from proxy.session.session import ClientSession
from proxy.sql.objects import SETTING
from proxy.sql.paths import path_of
from proxy.sql.plan import Forward, PlanContext, Planned, Reject, StatementKind, Temporary
from proxy.sql.search_path import BARE
from proxy.tenancy.derived import QUERY
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.server.cancel import Cancellable
    from proxy.server.listener import Listener, TemplateKey


class ClientPort(FollowingPort):
    """The session's Port, without the socket."""

    def __init__(self, listener: Listener, services: Services) -> None:
        super().__init__()
        self.listener = listener
        self.services = services
        self.transport: asyncio.Transport | None = None
        self.flow: Flow | None = None
        self.process_id = listener.keys.register(cast("Cancellable", self))
        self.session = ClientSession(
            cast(Port, self),  # the rest of it is in listens.py
            process_id=self.process_id,
            secret_key=services.secret_key(),
            clock=services.clock,
            tls_available=services.tls() is not None,
        )
        self.actions: list[Action] = []
        self.waiting: dict[int, asyncio.Task[Any]] = {}  # for a lease or a limit, by ticket
        self.deadline: asyncio.TimerHandle | None = None
        self.answer_waits: Waiting | None = None  # to a proof
        self.source: tuple[str, int] | None = None  # address and port behind a balancer, when it told
        self.peer = ""  # address and port, for the log
        self.address = ""  # alone, for the rules
        self.full_since: float | None = None  # when the client's write buffer was full, of the loop's clock
        self.admitted = False
        self.overstay = Overstay()
        self.cancels = Cancels()
        self.share = listener.shares.of("")  # of planning; the tenant's once it is known

    @property
    def secret_key(self) -> bytes:
        """What cancels this session."""
        return self.session.secret_key

    def write(self, data: bytes) -> None:
        """Bytes for the client."""
        transport = self.transport
        if transport is not None:
            transport.write(data)

    def lookup(self, text: bytes, parameter_types: tuple[int, ...] = (), extended: bool = False) -> Planned | None:
        """The plans of a text in the cache; moves to new rules and a new catalog between transactions."""
        planning, context = self.planning, self.context
        if planning is None or context is None:
            return None
        if self.services.rules() is not self.rules or planning.catalog is not self.catalog:
            self.follow()
            planning, context = self.planning or planning, self.context or context
        if self.gone:
            self.session.release()  # a pinned one: the answer must not wait for it
            self.actions.append(CloseFrontend())
            return Planned((Reject(StatementKind.OTHER, GONE.sqlstate, GONE.message),))
        if self.arriving:
            return None
        if "search_path" in self.session.settings.current:
            context = self.named(context)
        text = self.planned(text)
        if self.temporary:
            context = context.about(text, self.temporary)
        return planning.lookup(text, context, parameter_types, extended)

    def planned(self, text: bytes) -> bytes:
        """What is planned of a text: without the comment at its end, where fill() sends that."""
        return split(text)[0] if self.comments else text

    def named(self, context: PlanContext) -> PlanContext:
        """The context for a session that may have another search path than it began with."""
        path = self.session.settings.current.get("search_path")
        if path is None:
            return context
        if context.policy.schema:
            if self.paths is None or self.paths[0] != path:
                there = path_of(context.policy, path, context.role)
                self.paths = (path, replace(context, search_path=there, bare=path == BARE))
            return self.paths[1]
        if self.bare is None:
            self.bare = replace(context, bare=True)
        return self.bare

    def know(self, temporary: tuple[Temporary, ...]) -> None:
        """The session's temporary tables as of now; statements that were planned with others are planned again."""
        self.temporary = temporary
        self.session.epoch = (self.context, temporary)

    def lease_nowait(self) -> Lease | None:
        """An idle connection of the tenant's."""
        grant = self.grant
        if grant is None:
            return None
        lease = self.services.pools.lease_nowait(grant)
        if lease is None:
            return None
        return self.take(lease)

    def release(self, lease: Any, destroy: bool, cancel: bool) -> None:
        """The lease ends."""
        if self.flow is not None:
            self.flow.released()
        connection = lease.connection
        if connection.state.reported and not destroy:
            self.listener.compare(connection.server, connection.settings, connection.state.news())
        self.services.pools.release(lease, destroy, cancel)

    def act(self, action: Action) -> None:
        """Done when the present event has ended, so that no event happens inside another."""
        self.actions.append(action)

    def answer(self, fields: dict[str, str], plan: Forward | None, text: bytes) -> dict[str, str]:
        """The fields of a server's error or notice that the client may see."""
        planning = self.planning
        if planning is None:
            return {key: value for key, value in fields.items() if key in "SVCM"}
        grant, keys = self.grant, self.keys
        if grant is None or keys is None:
            return {key: value for key, value in fields.items() if key in "SVCM"}
        fields = self.overstay.reworded(fields, self.session)
        return self.services.answer(fields, plan, planning.catalog, grant.policy, text, keys)

    def missing(self, name: str, kind: str, direct: bool) -> Refusal | None:
        """What the server says of a name that is absent, also where it is hidden; None where the tenant sees it. Of a
        setting the refusal, if a tenant may not read it.
        """
        planning, context = self.planning, self.context
        if planning is None or context is None:
            raise InternalError("a name without a grant")
        through = "" if direct else "::pg_catalog.text"
        constant = "'" + name.replace("'", "''") + "'"
        text = f"SELECT {kind}({constant})" if kind == SETTING else f"SELECT {constant}{through}::pg_catalog.{kind}"
        rejection = planning.plan(text.encode(), context).rejection
        if rejection is None:
            return None
        refusal = refusal_of(rejection)
        refusal.position = None  # it stands in no text of the client's
        return refusal

    def allowed_setting(self, name: str, value: str) -> bool:
        """May a client have this setting?"""
        return self.grant is not None and self.services.allowed_setting(self.grant.policy, name, value)

    def parameters(self, settings: Mapping[str, str]) -> Mapping[str, str] | None:
        """What the server reports under these settings."""
        key = self.template(settings)
        return None if key is None else self.listener.templates.get(key)

    def template(self, settings: Mapping[str, str]) -> TemplateKey | None:
        """What the parameters that a server reports depend on."""
        grant = self.session.grant
        if grant is None:
            return None
        return grant.server, tuple(sorted(startup_of(grant).items())), tuple(sorted(settings.items()))

    def fill(self, plan: Forward, literals: tuple[bytes, ...], text: bytes) -> bytes:
        """The text of a plan with this tenant's keys, and with the client's own text where it tells that."""
        keys = self.keys
        if keys is None:
            raise InternalError("a plan without a grant")
        sent = self.services.fill(plan, {**keys, QUERY: text.decode()} if plan.tells_text else keys, literals)
        if self.comments:
            comment = split(text)[1]
            return b"%b %b" % (sent, comment) if comment else sent
        return sent

    def version(self) -> int:
        """Of the schema: what the catalog has noticed, and what went through this process since."""
        context, grant = self.context, self.grant
        if context is None or grant is None:
            return 0
        return context.catalog_version + self.listener.altered.get(grant.server, 0)

    def altered(self) -> None:
        """A statement of this session may have changed the schema."""
        if self.grant is not None:
            altered = self.listener.altered
            altered[self.grant.server] = altered.get(self.grant.server, 0) + 1

    def count_in(self, grant: Grant) -> Refusal | None:
        """Counts the session in, or says why not, as far as this process knows."""
        session, traffic = self.session, self.services.counters
        if grant.tenant in self.listener.closed:
            return CannotConnectNow("the database system is shutting down")
        before, counters = session.counters, traffic.of(grant.tenant, session.user)
        limit, own = grant.limits.connections, self.own_connections()
        full = limit is not None and traffic.connections(grant.tenant) >= limit
        if full or (own is not None and counters.connections >= own):
            return TooManyConnections(f'too many connections for role "{session.user}"')
        counters.connections += 1
        counters.sessions += 1
        counters.bytes_in += before.bytes_in  # the log-in is the login's
        counters.bytes_out += before.bytes_out
        self.admitted = True
        self.share = self.listener.shares.of(grant.tenant)
        self.listener.shares.enter(self.share)
        self.listener.gate.give_back(self.address, session.tls)
        session.counters = counters
        try:
            return None if self.bind() else GONE
        except CannotConnectNow as refusal:
            return refusal

    def give_way(self, seconds: float, size: int) -> None:
        """A read of a large result, of so many bytes, took so much of the loop's time: others have their turns."""
        flow = self.flow
        wait = 0.0 if self.alone() else self.share.relayed(seconds, self.services.clock())
        if flow is not None and (wait or size >= BULK):
            flow.rest(wait, self.alone)

    def alone(self) -> bool:
        """Has no other tenant a session here?"""
        return self.listener.shares.alone(self.share)

    def own_connections(self) -> int | None:
        """How many the login may have besides what its tenant may."""
        login = self.services.rules().login(self.session.user)
        return None if login is None or login.limits is None else login.limits.connections

    def find_login(self, action: FindLogin) -> LoginFound:
        """The answer to FindLogin."""
        secured = None if self.transport is None else self.transport.get_extra_info("ssl_object")
        certificate = None if secured is None else secured.getpeercert(binary_form=True)
        full = self.listener.draining or len(self.listener.clients) > self.services.options.max_client_connections
        return find_login(self.services, action, Came(self.address, self.session.tls, full, certificate))

    def take(self, lease: Any) -> Lease:
        connection = lease.connection
        connection.receiver = self
        if self.flow is not None:
            self.flow.leased(connection)
        return lease  # type: ignore[no-any-return]  # PoolsPort leaves the type of its leases open
