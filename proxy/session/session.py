"""ClientSession: one client conversation, put together. Bytes and events in; bytes through the Port and actions out.

`data` and `backend_data` begin with the way that nearly all statements take: one whole Query whose plan is cached and
plain, on an idle or just leased connection, answered by one run that ends in ReadyForQuery. Nothing on that way
becomes an object that the general way (query.py, replies.py) would not also make. Any other thing takes the general
way; both share all state.
"""

from __future__ import annotations

from typing import assert_never

from proxy.backend.state import IDLE
from proxy.errors import AdminShutdown, ConnectionFailure, QueryCanceled, RemoteProtocolError
from proxy.session import copy, greeting, startup
from proxy.session.actions import CloseFrontend, WithdrawLease
from proxy.session.conversation import Conversation, Phase, Waiting
from proxy.session.due import QUERY, Due
from proxy.session.encode import query
from proxy.session.events import (
    BackendLeased,
    BackendLost,
    CancelFinished,
    CancelRequested,
    Drain,
    Event,
    FrontendLost,
    LeaseRefused,
    LoginFound,
    StatementPlanned,
    Terminate,
    TlsStarted,
)
from proxy.session.extended import HANDLERS
from proxy.session.replies import OutOfStep, receive
from proxy.sql.plan import NO_EFFECTS, Forward
from proxy.wire.framing import FULL, QUIET, length_at

_READY = ord("Z")


class ClientSession(Conversation):
    """See the module. Every method runs to its end without waiting; the caller performs actions as they come."""

    # -- from the client

    def data(self, data: bytes) -> None:
        """Bytes from the client."""
        counters = self.counters
        counters.bytes_in += len(data)
        if self.phase is Phase.READY:
            if (
                data[0] == 81
                and self.message is None
                and not self.due
                and not self.frontend.buffered
                and len(data) > 5
                and length_at(data, 1) == len(data) - 1
                and data[-1] == 0
                and not self.skipping
                and not self.held
                and not self.open
                and self._plain_query(data)
            ):
                return
            self.frontend.feed(data)
            self.proceed()
        elif self.phase is not Phase.CLOSED:
            self.frontend.feed(data)
            startup.proceed(self)
            self.finish()
            if self._is_ready() and self.frontend.buffered:
                self.proceed()

    def _is_ready(self) -> bool:
        return self.phase is Phase.READY

    def _plain_query(self, data: bytes) -> bool:
        """The short way. False: nothing was done but perhaps leasing."""
        text = data[5:-1]
        planned = self.port.lookup(text)
        if planned is None or len(planned.plans) != 1:
            return False
        plan = planned.plans[0]
        if type(plan) is not Forward or plan.tag is not None or plan.checks or plan.effects.positioned is not None:
            return False
        if plan.copy is not None:
            return False
        if self.lease is None:
            lease = self.port.lease_nowait()
            if lease is None:
                return False
            self.lease = lease
            self.link = lease.connection
            self.state = lease.connection.state
        link, state, settings = self.link, self.state, self.settings
        if link is None or state is None:
            return False
        if state.settings is not settings.current:
            if state.settings != settings.current:
                return False
            state.settings = settings.current
        if settings.state is None:
            settings.begin(state)
        effects = plan.effects
        if effects is not NO_EFFECTS and (effects.asked or effects.announced):
            return False
        if effects is NO_EFFECTS or not effects.noted:
            self.quiet = True
            self.stream.table = QUIET
        else:
            self.stream.table = FULL
        self.turns += 1
        if self.statements:
            self.statements.pop(b"", None)
        state.unnamed = None
        self.counters.plans[planned.cache] += 1
        self.count(planned.plans)
        self.due.append(Due(QUERY, True, plan, planned.plans, text))
        self.started = self.clock()
        link.write(query(self.port.fill(plan, planned.literals, text)))
        return True

    def proceed(self) -> None:
        """Deals with the client's messages until one must wait."""
        try:
            while self.phase is Phase.READY and self.waiting is Waiting.NOTHING and not self.held:
                message = self.message
                if message is None:
                    message = self.frontend.message()
                    if message is None:
                        break
                self._general()
                handler = HANDLERS.get(message[0]) if self.copying is None else copy.HANDLERS.get(message[0])
                if handler is None:
                    if self.copying is not None:
                        raise RemoteProtocolError(f"unexpected message type 0x{message[0]:02X} during COPY from stdin")
                    raise RemoteProtocolError(f"invalid frontend message type {message[0]}")
                self.message = message
                if handler(self, message[1]):
                    self.message = None
                    if self.plans:
                        self.plans.clear()
        except RemoteProtocolError as refusal:
            self.fatal(refusal)
        self.finish()

    def _general(self) -> None:
        """From here on every message of the server's is watched."""
        self.quiet = False
        self.stream.table = FULL

    @property
    def buffered(self) -> int:
        """Bytes of the client's that wait."""
        return self.frontend.buffered

    @property
    def stalled(self) -> bool:
        """No further message of the client's can be dealt with yet."""
        return self.message is not None or self.waiting is not Waiting.NOTHING

    @property
    def in_transaction(self) -> bool:
        """Idle in a transaction: a connection is held, and the client's next move is awaited."""
        state = self.state
        return state is not None and not self.due and (state.status != IDLE or self.open)

    # -- from the server

    def backend_data(self, data: bytes) -> None:
        """Bytes from the leased connection."""
        state = self.state
        if state is None:
            return
        stream = self.stream
        if not self.due:
            stream.table = FULL
        try:
            run, marks = stream.feed(data)
            if self.quiet:
                if not marks:
                    if run:
                        self.counters.bytes_out += len(run)
                        self.port.write(run)
                    return
                tag, start, end = marks[0]
                if tag == _READY and end == len(run) and end - start == 6 and run[start + 5] == IDLE:
                    self._plain_reply(run)
                    return
                self.quiet = False
            idle = not self.due
            receive(self, run, marks)
            if idle and run and sum(end - start for _, start, end in marks) != len(run):
                raise OutOfStep("rows that nobody asked for")
        except OutOfStep as violation:
            self.out.clear()
            self.broken(str(violation))
        except RemoteProtocolError as violation:
            self.broken(violation.message)
        if self.phase is Phase.LEARN:
            greeting.learnt(self)
        if self.message is not None or self.frontend.buffered:
            self.proceed()
        else:
            self.finish()

    def _plain_reply(self, run: bytes) -> None:
        """A quiet query's last run, in autocommit: relayed as it is, and the connection is free again."""
        state, lease = self.state, self.lease
        self.quiet = False
        self.due.clear()
        counters = self.counters
        counters.bytes_out += len(run)
        counters.observe(self.clock() - self.started)
        self.port.write(run)
        if (
            state is None
            or lease is None
            or state.status != IDLE
            or self.settings.savepoints
            or self.held
            or self.pins
            or self.portals
            or self.frontend.buffered
            or state.tainted is not None
            or not self.stream.whole
        ):
            if state is not None:
                state.status = IDLE
                self.portals.clear()
                if self.failed:
                    self.settings.restore()
                else:
                    self.settings.keep()
                self.failed = False
            self.proceed()
            return
        self.lease = self.link = self.state = self.settings.state = None
        self.port.release(lease, False, False)
        if self.draining:
            self.finish()

    # -- events

    def handle(self, event: Event) -> None:
        """Anything else that happens."""
        match event:
            case StatementPlanned():
                if event.ticket == self.ticket and self.waiting is Waiting.PLAN:
                    self.waiting = Waiting.NOTHING
                    self.plans[self.asked] = event.planned
                    self.proceed()
            case BackendLeased():
                self._leased(event)
            case LeaseRefused():
                if event.ticket == self.ticket and self.waiting is Waiting.LEASE:
                    self.waiting = Waiting.NOTHING
                    if self.phase is Phase.LEARN:
                        self.fatal(event.refusal)
                        self.finish()
                    else:
                        self.refusal = event.refusal
                        self.proceed()
            case BackendLost():
                self._backend_lost(event.reason)
            case FrontendLost():
                if self.phase is not Phase.CLOSED:
                    self.end()
                self.out.clear()
            case LoginFound() | TlsStarted():
                if self.phase is not Phase.CLOSED:
                    startup.handle(self, event)
                    self.finish()
                    if self.phase is Phase.READY:
                        self.proceed()
            case CancelRequested():
                self._cancel()
            case CancelFinished():
                self.held = max(0, self.held - 1)
                self.proceed()
            case Drain():
                self.draining = True
                if self.phase not in {Phase.READY, Phase.CLOSED}:
                    self.fatal(AdminShutdown("terminating connection due to administrator command"))
                self.finish()
            case Terminate():
                self.fatal(event.refusal)
                self.finish()
            case _:
                assert_never(event)

    def _leased(self, event: BackendLeased) -> None:
        if event.ticket != self.ticket or self.waiting is not Waiting.LEASE:
            self.port.release(event.lease, False, False)
            return
        self.waiting = Waiting.NOTHING
        self.adopt(event.lease)
        if self.phase is Phase.LEARN:
            self.bring_in_line()
            greeting.learnt(self)
        self.proceed()

    def _backend_lost(self, reason: str) -> None:
        if self.lease is None:
            return
        state = self.state
        told = state is not None and state.tainted is not None and self.phase is Phase.READY
        if state is not None:
            state.taint(reason)
        if told and not self.due:
            self.end()  # the client has read the server's FATAL
            self.port.act(CloseFrontend())
        else:
            self.fatal(ConnectionFailure("server closed the connection unexpectedly"))
        self.finish()

    def _cancel(self) -> None:
        """Cancels what the client waits for. The lease is kept until CancelFinished, so that no other session is
        hit.
        """
        if self.lease is not None:
            self.held += 1
            return
        if self.waiting is Waiting.NOTHING or self.phase is not Phase.READY:
            return
        if self.waiting is Waiting.LEASE:
            self.port.act(WithdrawLease(self.ticket))
        self.ticket += 1
        self.waiting = Waiting.NOTHING
        self.plans.clear()
        message, self.message = self.message, None
        canceled = QueryCanceled("canceling statement due to user request")
        if message is not None and message[0] == 81:
            self.refuse_query(canceled)
        elif message is not None:
            self.refuse_extended(canceled)
        self.proceed()
