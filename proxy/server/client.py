"""Client: one client's socket. It feeds the session, does what the session says, and lets nothing escape.

Between bytes in and bytes out there is no await, hence no lock. What takes time runs as a task and comes back as an
event. Whatever goes wrong in here that is nobody's refusal ends this client and the server connection it held, with an
id in the log.
"""

from __future__ import annotations

import asyncio
import secrets
from time import thread_time
from typing import assert_never, cast

from proxy.auth.addresses import LOCAL
from proxy.errors import InternalError, Refusal
from proxy.server.asking import AskingClient
from proxy.server.flow import Flow, prepare_socket
from proxy.server.following import GONE
from proxy.server.leasing import wait_lease
from proxy.server.services import AuditContext
from proxy.server.sharing import LARGE
from proxy.server.stopping import out_of_time, overdue, stop
from proxy.server.tls import upgrade
from proxy.session.actions import (
    Action,
    Audit,
    AwaitAdmission,
    AwaitQuota,
    CancelBackend,
    CloseFrontend,
    Established,
    FindLogin,
    HearAll,
    LearnParameters,
    LeaseBackend,
    LoginRefused,
    PlanStatement,
    Report,
    ResultStopped,
    StartTls,
    StopResult,
    Subscribe,
    WeighProof,
    WithdrawLease,
)
from proxy.session.conversation import Phase
from proxy.session.events import (
    BackendLost,
    Drain,
    Event,
    FrontendLost,
    ProofWeighed,
    ResultOverdue,
    Terminate,
    TlsStarted,
)

LINGER = 5.0  # seconds for a client to read its last words


class Client(AskingClient, asyncio.Protocol):
    """One client connection; the session's Port and the leased connection's receiver."""

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        transport = cast(asyncio.Transport, transport)  # what create_server makes, though uvloop's is no subclass
        self.transport = transport
        self.address, self.peer = prepare_socket(transport, self.services.options)
        if self.address == LOCAL:  # as PostgreSQL: nobody is between
            self.session.tls_available = False
        if self.source is not None:
            self.address, self.peer = self.source[0], "{}:{}".format(*self.source)
        self.flow = Flow(transport)
        self.listener.joined(self)
        loop = asyncio.get_running_loop()
        self.deadline = loop.call_later(self.services.options.login_timeout, self._too_slow)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        try:
            self.session.data(data)
            if self.actions:
                self._perform()
            session = self.session
            if session.under is None and session.stalled and session.buffered > self.services.options.read_buffer:
                self._flow().frontend_waits(True)
        except Exception as problem:  # the last line: nothing may escape with a lease held
            self.crash(problem)

    def eof_received(self) -> bool:
        """The client has nothing more to say: as a lost connection."""
        self._close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        if self.deadline is not None:
            self.deadline.cancel()
        if self.answer_waits is not None:
            self.answer_waits.withdraw()
        if self.flow is not None:
            self.flow.close()
        try:
            self.handle(FrontendLost())
        finally:
            for task in self.waiting.values():
                task.cancel()
            self.listener.keys.forget(self.process_id)
            self.count_out()
            self.listener.left(self)

    def pause_writing(self) -> None:
        """The client does not read fast enough."""
        self.full_since = asyncio.get_running_loop().time()
        self._flow().frontend_full(True)

    def resume_writing(self) -> None:
        """It caught up."""
        self.full_since = None
        self._flow().frontend_full(False)
        self.session.finish()

    # -- the receiver of a leased connection

    def backend_data(self, data: bytes) -> None:
        """Bytes from the server."""
        began = thread_time() if len(data) >= LARGE else 0.0
        try:
            self.session.backend_data(data)
            if self.actions:
                self._perform()
            flow = self.flow
            if flow is not None and flow.waits and not self.session.stalled:
                flow.frontend_waits(False)
            if began:
                self.give_way(thread_time() - began, len(data))
        except Exception as problem:  # as data_received
            self.crash(problem)

    def backend_lost(self, reason: str) -> None:
        """The leased connection is gone."""
        self.handle(BackendLost(reason))

    def backend_writable(self, writable: bool) -> None:
        """The server does, or does not, read fast enough."""
        self._flow().backend_full(not writable)

    # -- actions

    def handle(self, event: Event) -> None:
        """Gives the session an event, and does what it says."""
        try:
            self.session.handle(event)
            if self.actions:
                self._perform()
            if not self.session.stalled and self.flow is not None:
                self.flow.frontend_waits(False)
        except Exception as problem:  # as data_received
            self.crash(problem)

    def _perform(self) -> None:
        while self.actions:
            actions, self.actions = self.actions, []
            for action in actions:
                self._do(action)

    def _do(self, action: Action) -> None:
        match action:
            case PlanStatement():
                self.plan(action)
            case LeaseBackend():
                task = self.listener.tasks.start(wait_lease(self, action.ticket), "wait for a server connection")
                self.waiting[action.ticket] = task
            case WithdrawLease():
                waiting = self.waiting.pop(action.ticket, None)
                if waiting is not None:
                    waiting.cancel()
            case Subscribe() | HearAll():
                self.listener.tasks.start(self.hear(action), "listen")
            case FindLogin():
                self.session.handle(self.find_login(action))
            case WeighProof():
                weigh = self.listener.proofs.weigh
                self.answer_waits = weigh(self.session.user, self.address, action.right, self._weighed)
            case AwaitAdmission():
                self.listener.tasks.start(self.wait_admission(), "wait for a place")
            case AwaitQuota():
                task = self.listener.tasks.start(self.wait_quota(action), "wait for a quota")
                self.waiting[action.ticket] = task
            case LearnParameters():
                key = self.template(action.settings)
                if key is not None:
                    self.listener.learn(key, action.parameters)
            case StartTls():
                self._flow().pause_for_tls()
                if not self.listener.gate.handshake(self.address):
                    self._abort()
                    return
                self.listener.tasks.start(self._start_tls(action.data), "TLS handshake")
            case CancelBackend():
                self.listener.tasks.start(self._cancel_other(action), "cancel request")
            case StopResult():
                self._flow().drain(True)
                connection = None if self.session.lease is None else self.session.lease.connection
                if connection is not None:
                    self.listener.tasks.start(stop(connection, self.handle, self.services.log), "stop a result")
            case ResultStopped():
                self._flow().drain(False)
            case Established():
                self.listener.proofs.accepted()
                if self.deadline is not None:
                    self.deadline.cancel()
            case CloseFrontend():
                self._close()
            case Audit():
                tenant = self.grant.tenant if self.grant is not None else ""
                session = self.session
                who = AuditContext(tenant, session.user, session.database, self.peer, session.application_name)
                self.services.audit(action, who)
            case LoginRefused():
                session, refusal = self.session, action.refusal
                self.services.audit_login(
                    outcome=self.listener.proofs.refused(refusal),
                    login=session.user,
                    database=session.database,
                    peer=self.peer,
                    sqlstate=refusal.sqlstate,
                    reason=action.why or refusal.message,
                )
            case Report():
                self.services.log.error("server connection destroyed", reason=action.text, login=self.session.user)
            case _:
                assert_never(action)

    def _weighed(self, event: ProofWeighed) -> None:
        waited, self.answer_waits = self.answer_waits, None
        if waited is None:  # at once: inside the event that asked
            self.session.handle(event)
        else:
            self.handle(event)

    async def _start_tls(self, received: bytes) -> None:
        transport, tls = self.transport, self.services.tls()
        if transport is None or tls is None:
            return
        try:
            secured, early = await upgrade(transport, self, tls.context, self.services.options.login_timeout, received)
        except (OSError, TimeoutError) as problem:  # ssl.SSLError is an OSError
            self.services.log.info("TLS handshake failed", peer=self.peer, problem=str(problem))
            return
        secured.set_write_buffer_limits(high=self.services.options.write_buffer)
        self.transport = secured
        self.flow = Flow(secured)
        self.handle(TlsStarted(tls.binding, secured.get_extra_info("ssl_object").selected_alpn_protocol()))
        if early:
            self.data_received(early)

    async def _cancel_other(self, action: CancelBackend) -> None:
        try:
            keys = self.listener.keys
            cancel = keys.cancel if keys.own(action.process_id) else self.services.cancel_elsewhere
            if not await cancel(action.process_id, action.secret_key):
                self.services.log.warning("wrong key in cancel request", process_id=action.process_id, peer=self.peer)
        finally:
            self._close()

    async def cancel(self) -> None:
        """A cancel request with this session's key arrived."""
        await self.cancels.request(self.session, self.handle, self.services.log, self.listener.tasks.start)

    def sweep(self, now: float) -> None:
        """Looks whether the client leaves its answers unread, or the session overstays in a transaction. Called every
        sweep_interval.
        """
        session = self.session
        if self.full_since is not None and now - self.full_since >= self.services.options.write_timeout:
            self.services.log.warning("client does not read", login=session.user, peer=self.peer)
            self._abort()
            return
        if overdue(session):
            self.handle(ResultOverdue())
        if session.between:
            self.overstay.rest()
            if self.expelled():
                self.handle(Terminate(GONE))
            return
        if self.overstay.late(session, now):
            self.listener.tasks.start(out_of_time(self, self.overstay.stopped), "statement timeout")
        refusal = self.overstay.refusal(session, now)
        if refusal is not None:
            self.handle(Terminate(refusal))

    def drain(self) -> None:
        """The proxy goes away."""
        self.handle(Drain())

    def terminate(self, refusal: Refusal) -> None:
        """Ends the session now."""
        self.handle(Terminate(refusal))

    def _too_slow(self) -> None:
        if self.session.phase is not Phase.READY and self.transport is not None:
            self.services.log.info("login timeout", peer=self.peer)
            self.transport.abort()

    def _close(self) -> None:
        """Closes once the client has read what it was told, which it need not do."""
        transport = self.transport
        if transport is not None and not transport.is_closing():
            transport.close()
            if self.deadline is not None:
                self.deadline.cancel()
            self.deadline = asyncio.get_running_loop().call_later(LINGER, transport.abort)

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _flow(self) -> Flow:
        if self.flow is None:
            raise InternalError("no connection")
        return self.flow

    def crash(self, problem: Exception) -> None:
        """Something is wrong with the proxy: the client sees an id, the log sees everything."""
        number = secrets.token_hex(6)
        self.services.log.error("internal error", id=number, login=self.session.user, exc_info=problem)
        session = self.session
        self.actions.clear()
        lease = session.lease
        try:
            session.out.clear()
            session.up.clear()
            session.fatal(InternalError(f"internal error {number}"))
            session.flush()
        except Exception as again:  # then the lease goes without the session's help
            self.services.log.error("internal error", id=number, exc_info=again)
            if lease is not None and session.lease is lease:
                session.lease = session.link = session.state = None
                self.services.pools.release(lease, True)
        self.actions.clear()
        self._close()
