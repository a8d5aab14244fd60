"""ClientSession: one client conversation, put together. Bytes and events in; bytes through the Port and actions out.

`data` and `backend_data` begin with the short way (short.py), which nearly all statements take; any other thing takes
the general way (query.py, extended.py, replies.py). Both share all state.
"""

from __future__ import annotations

from typing import assert_never

from proxy.backend.state import IDLE
from proxy.errors import AdminShutdown, ConnectionFailure, QueryCanceled, RemoteProtocolError
from proxy.session import copy, delay, greeting, holdings, lazy, notifications, query, results, short, stale, startup
from proxy.session.actions import CloseFrontend, WithdrawLease
from proxy.session.conversation import Conversation, Phase, Waiting
from proxy.session.due import unsettled
from proxy.session.events import (
    BackendLeased,
    BackendLost,
    CancelFinished,
    CancelRequested,
    ClientAdmitted,
    Drain,
    Event,
    FrontendLost,
    Heard,
    LeaseDelayed,
    LeaseMoved,
    LeaseRefused,
    LoginFound,
    Notified,
    ProofWeighed,
    QuotaHeard,
    ResultOverdue,
    RowsOverdue,
    StatementPlanned,
    Subscribed,
    Terminate,
    TlsStarted,
)
from proxy.session.extended import HANDLERS
from proxy.session.replies import OutOfStep, receive
from proxy.wire.streams import Oversize

NOTHING = Waiting.NOTHING
DEAF = frozenset({Phase.LOGIN, Phase.PROOF, Phase.ADMISSION})  # what the client says waits for an answer


class ClientSession(Conversation):
    """See the module. Every method runs to its end without waiting; the caller performs actions as they come."""

    # -- from the client

    def data(self, data: bytes) -> None:
        """Bytes from the client."""
        self.counters.bytes_in += len(data)
        if self.phase is Phase.READY:
            idle = (
                not (self.due or self.skipping or self.held or self.open or self.subscribed or self.begun)
                and not self.storage.full
                and self.message is None
                and self.waiting is NOTHING
            )
            if idle and self.frontend.whole and short.send(self, data):
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

    def proceed(self) -> None:
        """Deals with the client's messages until one must wait."""
        try:
            while self.phase is Phase.READY and self.waiting is Waiting.NOTHING and not self.held:
                if len(self.due) >= holdings.PIPELINE and holdings.deep(self):
                    break
                if self.due and results.behind(self):
                    if self.under is not None:
                        short.unfold(self)
                    break
                message = self.message
                if message is None:
                    self.repeated = bool(self.replay)
                    self.charged = False
                    self.patience = 0.0
                    message = self.replay.popleft() if self.repeated else self.frontend.message()
                    if message is None:
                        break
                if self.under is not None:
                    short.unfold(self)
                body = message[1]
                if isinstance(body, Oversize) and self.copying is None:
                    holdings.oversize(self, message[0], body)
                    continue
                handler = HANDLERS.get(message[0]) if self.copying is None else copy.HANDLERS.get(message[0])
                if handler is None:
                    if self.copying is not None:
                        raise RemoteProtocolError(f"unexpected message type 0x{message[0]:02X} during COPY from stdin")
                    raise RemoteProtocolError(f"invalid frontend message type {message[0]}")
                self.message = message
                if self.begun is not None and not lazy.begin(self, message[0], query.plan_of):
                    break
                batch = self.batch
                if handler(self, message[1]):
                    self.message = self.refusal = None
                    if batch is not None:
                        stale.add(self, batch, message)
                    if self.plans:
                        self.plans.clear()
        except RemoteProtocolError as refusal:
            self.fatal(refusal)
        self.finish()

    def finish(self) -> None:
        """The end of every event, and what was notified in the meantime."""
        if self.news:
            notifications.deliver_when_idle(self)
        super().finish()

    @property
    def buffered(self) -> int:
        """Bytes of the client's that wait."""
        return self.frontend.buffered

    @property
    def stalled(self) -> bool:
        """No further message of the client's can be dealt with yet."""
        if len(self.due) >= holdings.PIPELINE or results.behind(self):
            return True
        return self.message is not None or self.waiting is not Waiting.NOTHING or self.phase in DEAF

    @property
    def in_transaction(self) -> bool:
        """Idle in a transaction: a connection is held, and the client's next move is awaited."""
        state = self.state
        waits = self.waiting is Waiting.QUOTA
        return state is not None and not self.due and not waits and (state.status != IDLE or self.open)

    @property
    def queues(self) -> bool:
        """Nothing runs, and the client's message waits for its plan or a limit, whether or not a connection is held."""
        return self.waiting in (Waiting.QUOTA, Waiting.PLAN) and not self.due

    # -- from the server

    def backend_data(self, data: bytes) -> None:
        """Bytes from the leased connection."""
        if self.state is None:
            return
        if self.under is not None:
            if short.answered(self, data):
                if self.lease is not None or self.draining:
                    self._go_on()
                return
            short.unfold(self)
        stream = self.stream
        rows, begun = stream.rows, stream.remaining
        try:
            run, marks = stream.feed(data)
            idle = not self.due
            rows = stream.rows - rows
            if self.result.bounded:
                rows = results.relay(self, run, marks, begun, rows, stream.remaining)
            else:
                receive(self, run, marks)
            self.rows += rows
            self.counters.rows += rows
            if idle and run and sum(end - start for _, start, end in marks) != len(run):
                raise OutOfStep("rows that nobody asked for")
        except OutOfStep as violation:
            self.out.clear()
            self.broken(str(violation))
        except RemoteProtocolError as violation:
            self.broken(violation.message)
        if self.phase is Phase.LEARN:
            greeting.learnt(self)
        self._go_on()

    def _go_on(self) -> None:
        if self.busy is not None and not self.due:
            self.rest()
        if self.waiting is Waiting.REPLIES and not unsettled(self.due):
            self.waiting = Waiting.NOTHING
        if self.message is not None or self.frontend.buffered or self.replay:
            self.proceed()
        else:
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
                    self.dequeue()
                    if self.phase is Phase.LEARN:
                        self.fatal(event.refusal)
                        self.finish()
                    else:
                        self.refusal = event.refusal
                        self.proceed()
            case Subscribed():
                notifications.subscribed(self, event)
                self.proceed()
            case Heard():
                notifications.all_heard(self, event.ticket)
                self.proceed()
            case Notified():
                notifications.notified(self, event)
                self.finish()
            case BackendLost():
                self._backend_lost(event.reason)
            case FrontendLost():
                if self.phase is not Phase.CLOSED:
                    self.end()
                self.out.clear()
            case LoginFound() | ProofWeighed() | ClientAdmitted() | TlsStarted():
                if self.phase is not Phase.CLOSED:
                    startup.handle(self, event)
                    self.finish()
                    if self.phase is Phase.READY:
                        self.proceed()
            case QuotaHeard():
                if event.ticket == self.ticket and self.waiting is Waiting.QUOTA:
                    self.waiting = Waiting.NOTHING
                    self.proceed()
            case CancelRequested():
                self._cancel()
            case CancelFinished():
                self.held = max(0, self.held - 1)
                self.proceed()
            case LeaseDelayed():
                delay.tell(self, event.ticket)
                self.finish()
            case LeaseMoved():
                self._moved(event.ticket)
            case RowsOverdue():
                copy.give_up(self)
                self.finish()
            case ResultOverdue():
                results.overdue(self)
                self.finish()
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
        self.dequeue()
        self.adopt(event.lease)
        if self.phase is Phase.LEARN:
            self.bring_in_line()
            greeting.learnt(self)
        self.proceed()

    def _moved(self, ticket: int) -> None:
        """Nothing of what waits was sent yet, so all of it is planned and sent by the rules in force."""
        if ticket != self.ticket or self.waiting is not Waiting.LEASE:
            return
        self.waiting = Waiting.NOTHING
        self.dequeue()
        self.plans.clear()
        self.port.follow()
        if self.phase is Phase.LEARN:
            greeting.greet(self)
            self.finish()
        self.proceed()

    def _backend_lost(self, reason: str) -> None:
        if self.lease is None:
            return
        state = self.state
        if state is not None:
            state.taint(reason)
        if self.farewell and self.phase is Phase.READY:
            self.end()  # the client has read the server's FATAL
            self.port.act(CloseFrontend())
        else:
            self.fatal(ConnectionFailure("server closed the connection unexpectedly"))
        self.finish()

    def _cancel(self) -> None:
        """Cancels what the client waits for. The lease is kept until CancelFinished, so that no other session is
        hit.
        """
        if self.lease is not None and not self.queues:
            self.held += 1
            copy.cancel(self)
            return
        if self.waiting in (Waiting.NOTHING, Waiting.HEARD) or self.phase is not Phase.READY:
            return
        if self.waiting in (Waiting.LEASE, Waiting.QUOTA):
            self.port.act(WithdrawLease(self.ticket))
        if self.waiting is Waiting.LEASE:
            self.dequeue()
        self.ticket += 1
        self.waiting, self.refusal = Waiting.NOTHING, None
        self.plans.clear()
        message, self.message = self.message, None
        canceled = QueryCanceled("canceling statement due to user request")
        if message is not None and message[0] == 81:
            self.refuse_query(canceled)
        elif message is not None:
            self.refuse_extended(canceled)
        self.proceed()
