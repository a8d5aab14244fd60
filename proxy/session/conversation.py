"""Conversation: the state of one client session and the moves that every phase shares.

Writing to either side, leasing and releasing, refusing, ending. startup.py, login.py, query.py and replies.py move it;
session.py puts them together. The invariant kept here: a lease is released exactly once, and whole (destroy=False)
only when nothing is owed on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from enum import Enum
from typing import TYPE_CHECKING

from proxy.auth.scram import ScramServer
from proxy.backend.state import FAILED, IDLE, BackendState
from proxy.errors import AdminShutdown, Refusal
from proxy.quota.storage import UNLIMITED
from proxy.session import encode
from proxy.session.actions import CloseFrontend, Report, WithdrawLease
from proxy.session.budgeting import Budgeting
from proxy.session.counters import Counters
from proxy.session.counting import Counting
from proxy.session.due import BIND, QUERY, SUPPLY, Due, DueQueue
from proxy.session.events import LoginFound
from proxy.session.keeping import Keeping
from proxy.session.parameters import Settings, difference
from proxy.session.ports import Lease, Link, Port
from proxy.session.result import Result
from proxy.session.statements import Portal, Statement, read_by
from proxy.sql.plan import Forward, Planned, Reject, StatementKind, Temporary
from proxy.tenancy.policy import Grant, Limits
from proxy.wire.framing import FULL
from proxy.wire.streams import STARTUP_LIMIT, BackendStream, FrontendStream

if TYPE_CHECKING:
    from proxy.session.copy import Copying
    from proxy.session.inserting import Inserting
    from proxy.session.lazy import Begun
    from proxy.session.stale import Batch


class Phase(Enum):
    """Where a session stands."""

    STARTUP = "startup"  # a packet without a type byte comes next
    TLS = "tls"  # the handshake runs
    LOGIN = "login"  # FindLogin is under way
    SASL_INITIAL = "sasl initial"
    SASL_FINAL = "sasl final"
    CLEARTEXT = "cleartext"  # a token is asked for as a password
    BEARER = "bearer"  # and by OAUTHBEARER
    BEARER_REFUSED = "bearer refused"
    PROOF = "proof"  # it was given; WeighProof is under way
    ADMISSION = "admission"  # the proof was right; AwaitAdmission is under way
    LEARN = "learn"  # authenticated; the server's parameters are being learnt
    READY = "ready"
    CLOSED = "closed"


class Waiting(Enum):
    """What the message at the head, or the one that comes next, waits for."""

    NOTHING = "nothing"
    PLAN = "plan"
    LEASE = "lease"
    PREPARE = "prepare"  # what it executes is being prepared on the connection
    CHANNEL = "channel"  # what it listens to is being listened to
    TOLD = "told"  # what another session notified over the connection is being told
    HEARD = "heard"  # no message waits; ReadyForQuery does, until everything before it was notified
    REPLIES = "replies"  # what a name stands for is certain only when errors can no longer come before it
    QUOTA = "quota"  # other processes share the limit, and may have something of it to spare
    COPY = "copy"  # no message waits yet; the next does until the server takes rows, or will not


PlanKey = tuple[bytes, tuple[int, ...], bool]
"""Text, parameter types, and whether it came in Parse."""

Under = tuple[bytes, int, Forward, bytes, Statement | None, Statement | None]
"""What short.py sent: how its reply begins, what describes its rows (framing.whole_reply), its plan, the client's text;
and in the extended protocol its statement, and what the unnamed one was before."""

NO_LIMITS = Limits(connections=None, server_connections=None)


class Conversation(Keeping, Counting, Budgeting):
    """State, and the moves shared by all phases. Not thread-safe, never re-entered: each event runs to its end."""

    def __init__(
        self,
        port: Port,
        *,
        process_id: int,
        secret_key: bytes,
        clock: Callable[[], float],
        tls_available: bool = False,
    ) -> None:
        self.port = port
        self.clock = clock
        self.process_id = process_id
        self.secret_key = secret_key
        self.tls_available = tls_available
        self.tls = False
        self.binding: bytes | None = None  # of the certificate that the client was shown
        self.direct = False  # TLS without asking, as libpq's sslnegotiation=direct begins it
        self.phase = Phase.STARTUP
        self.frontend = FrontendStream(STARTUP_LIMIT)
        self.stream = BackendStream(FULL)
        self.out: list[bytes] = []  # for the client, until the event ends
        self.up: list[bytes] = []  # for the server, until the event ends
        self.message: tuple[int, bytes] | None = None  # taken, and waiting
        self.waiting = Waiting.NOTHING
        self.ticket = 0  # of the last question asked
        self.asked: PlanKey = (b"", (), False)  # what PlanStatement asked
        self.plans: dict[PlanKey, Planned] = {}  # what the waiting message was given
        self.refusal: Refusal | None = None  # the answer to LeaseBackend, likewise
        self.lease: Lease | None = None
        self.link: Link | None = None
        self.state: BackendState | None = None
        self.due: DueQueue = deque()
        self.copying: Copying | Inserting | None = None  # the server takes rows
        self.under: Under | None = None  # what went the short way; then `due` holds one entry, which says no more
        self.open = False  # extended messages were sent since the last Sync
        self.skipping = False  # an error was answered; everything until Sync is ignored
        self.failed = False  # an error came since the last ReadyForQuery
        self.farewell = False  # the client was told why the server ends the connection
        self.held = 0  # cancel connections that concern the leased connection
        self.draining = False
        self.fenced: set[str] = set()  # cursors and portals of this transaction that do not show rows as they are
        self.tables: tuple[Temporary, ...] = ()  # as the port was told
        self.path: str | None = None
        self.pins: set[str] = set()  # why the connection stays with the session when it is idle
        self.subscribed: dict[str, str] = {}  # channel at the server -> name; what the listening connection tells
        self.unlistened = False  # UNLISTEN * completed outside a block, and is not committed yet
        self.begun: Begun | None = None  # a BEGIN that was answered, and goes with the next statement
        self.batch: Batch | None = None  # what is handled again if what it uses is stale
        self.replay: deque[tuple[int, bytes]] = deque()  # messages that are handled again, ahead of others
        self.again = False  # they are, and no more than once
        self.read = b""  # what was sent the short way
        self.caught_up = False  # what came before the COMMIT that waits was told
        self.news: list[tuple[str, bytes]] = []  # notifications that wait, by name
        self.extra: list[bytes] = []  # own replies whose turn came while replies are read
        self.settings = Settings({})
        self.statements: dict[bytes, Statement] = {}
        self.pipeline = 0  # Syncs and Queries sent: what is said now is skipped with what else was said in it
        self.opened: dict[bytes, int] = {}  # names of statements that changed while replies are due: in which pipeline
        self.portals: dict[bytes, Portal] = {}
        self.kept = 0  # bytes that both are counted as, or more
        self.known: dict[str, str] = {}  # ParameterStatus values as the client knows them
        self.restated = False  # settings went back to their defaults, and the client was not told of parameters yet
        self.user = ""
        self.database = ""
        self.application_name = ""
        self.requests = 0  # for encryption
        self.requested: Mapping[str, str] = {}  # settings asked for in the startup packet, as they were written
        self.startup: Mapping[str, str] = {}  # those of them that the tenant may have, as SQL text
        self.login: LoginFound | None = None
        self.scram: ScramServer | None = None
        self.right = False  # was the client's proof right?
        self.proof: bytes | None = None  # of the server, for a client whose own was right
        self.why = ""  # nobody is let in, for the log
        self.asked_at = 0.0  # when the proof was asked for
        self.grant: Grant | None = None
        self.limits = NO_LIMITS
        self.epoch: object = None  # changes with rules and catalog; statements planned under another are planned again
        self.generation = 0  # of the rules, for audit
        self.counters = Counters()
        self.started = 0.0  # when the statement under way arrived
        self.rows = 0  # relayed to the client since it came: DataRows, and CopyData of COPY TO
        self.sent = 0  # bytes written to the client, likewise
        self.busy = self.queued = None
        self.repeated = False
        self.result = Result()
        self.storage = UNLIMITED  # what the tenant has stored
        self.turns = 0  # statements begun: tells a watcher whether anything happened

    @property
    def reading(self) -> Hashable:
        """What a statement that is prepared now means depends on this, besides its text."""
        return read_by(self.settings.current, self.port.version())

    # -- towards the two sides

    def supply(self, data: bytes) -> None:
        """An own reply: now, or after the replies that are due."""
        if self.due:
            self.due.append(Due(SUPPLY, reply=data))
        else:
            self.out.append(data)

    def end_portals(self) -> None:
        """The transaction is over, and its portals with it; those whose Bind is still due are a later pipeline's."""
        self.passes = 0
        if self.due:
            still = set(map(id, self.due)) if self.portals else ()
            self.portals = {name: one for name, one in self.portals.items() if id(one.bound) in still}
        else:
            self.portals.clear()
            self.fenced.clear()
            self.opened.clear()

    def flush(self) -> None:
        """Everything collected goes out, one write for each side."""
        if self.up:
            if self.link is not None:
                if self.busy is None and self.due:
                    self.busy = self.clock()
                self.link.write(self.up[0] if len(self.up) == 1 else b"".join(self.up))
            self.up.clear()
        if self.out:
            data = self.out[0] if len(self.out) == 1 else b"".join(self.out)
            self.sent += len(data)
            self.counters.bytes_out += len(data)
            self.port.write(data)
            self.out.clear()

    # -- leases

    def ensure_lease(self) -> bool:
        """True when a connection is leased and in line; False when the message must wait for one."""
        if self.lease is None:
            lease = self.port.lease_nowait()
            if lease is None:
                self.waiting = Waiting.LEASE
                self.queue()
                return False
            self.adopt(lease)
        self.bring_in_line()
        return True

    def adopt(self, lease: Lease) -> None:
        """A lease was granted."""
        self.lease = lease
        self.link = lease.connection
        self.state = lease.connection.state
        self.keep_own()

    def bring_in_line(self) -> None:
        """Sends the difference between the session's settings and the connection's ahead of what follows."""
        state, settings = self.state, self.settings
        if state is None:
            return
        if state.settings is not settings.current and state.settings != settings.current:
            if self.due or self.open or state.status == FAILED:
                return  # in the middle of a pipeline, or nothing but ROLLBACK can run: the next chance will do
            text = difference(settings.current, state.settings)
            if settings.state is None:
                settings.begin(state)
            self.up.append(encode.query(text.encode()))
            self.due.append(Due(QUERY, False))
            state.unnamed = None
            state.settings = settings.current
            if any("." in name for name in settings.current):  # the name stays, whatever becomes of the value
                state.taint("a setting of the session's own")
            if state.status == IDLE:
                settings.base = (settings.current, settings.current)
        elif settings.state is None:
            settings.begin(state)

    def text_of(self, plan: Forward, literals: tuple[bytes, ...], text: bytes) -> bytes:
        """What is sent of a plan: a SET or RESET that means another value in this session says that one."""
        effects = plan.effects.settings
        if len(effects) == 1 and plan.kind is StatementKind.SETTING:
            meant = self.settings.meant(effects[0])
            if meant is not None and meant != effects[0].value:
                local = "LOCAL " if effects[0].local else ""
                return f"SET {local}{effects[0].name} TO {meant}".encode()
        return self.port.fill(plan, literals, text)

    def idle(self) -> bool:
        """May the lease end, whole?"""
        state = self.state
        return (
            state is not None
            and state.status == IDLE
            and not self.due
            and not self.open
            and not self.skipping  # else the server ignores everything until Sync
            and not self.up
            and self.stream.whole
        )

    def release(self, destroy: bool = False) -> None:
        """The lease ends. Whole only when nothing is owed on it and no cancel request may yet come, whatever `destroy`
        says.
        """
        lease, state = self.lease, self.state
        if lease is None or state is None:
            return
        whole = not destroy and not self.held and state.tainted is None and self.idle()
        running = bool(self.due)
        if self.under is not None:
            self.busy = self.started
        self.rest()
        self.depart()
        self.unpin(*self.pins)
        self.lease = self.link = self.state = None
        self.settings.uncover()
        self.settings.state = None
        self.settings.savepoints.clear()
        self.settings.objects.clear()
        self.tell_tables()
        self.portals.clear()
        self.copying = None
        self.open = self.failed = False
        self.under = None
        self.result.release()
        self.up.clear()
        self.due.clear()
        if not whole:
            self.stream = BackendStream(FULL)
        self.port.release(lease, not whole, running)

    @property
    def between(self) -> bool:
        """Between two transactions: no connection is held, or one that is pinned and idle."""
        return self.lease is None or self.idle()

    # -- refusals and the end

    def refuse_query(self, refusal: Refusal) -> None:
        """An own error as the whole reply to a simple query. On a leased connection the server is made to fail as
        well, so that an open transaction block fails with it, as it would have; one that is not open yet is none."""
        self.begun = None  # the client is told that it is idle
        if self.lease is None:
            self.out.append(encode.error(refusal, "ERROR"))
            self.out.append(encode.READY_IDLE)
        else:
            self.up.append(encode.FAIL_QUERY)
            self.due.append(Due(QUERY, refusal=refusal))
            self.pipeline += 1
            if self.state is not None:
                self.state.unnamed = None

    def refuse_extended(self, refusal: Refusal, *, early: bool = False) -> None:
        """An own error in the extended protocol: all until Sync is ignored. early: also in an aborted transaction."""
        self.skipping, self.begun = True, None
        if self.lease is None:
            self.out.append(encode.error(refusal, "ERROR"))
        else:
            self.up.append(encode.FAIL_BIND)
            due = Due(BIND, refusal=refusal)
            due.early = early
            self.due.append(due)
            self.open = True

    def fatal(self, refusal: Refusal) -> None:
        """The session ends with this error."""
        if self.phase is Phase.CLOSED:
            return
        if self.stream.between_messages or self.result.cut is not None:  # else a message is not whole
            self.out.append(encode.error(refusal, "FATAL"))
        self.end()
        self.port.act(CloseFrontend())

    def broken(self, reason: str) -> None:
        """The server said what it must not: its connection goes, and so does the session."""
        self.port.act(Report(f"unexpected from server: {reason}"))
        if self.state is not None:
            self.state.taint(reason)
        self.fatal(Refusal("server connection is out of step", sqlstate="08P01"))

    def end(self) -> None:
        """Nothing more is read; what is held goes back."""
        if self.waiting is Waiting.LEASE:
            self.port.act(WithdrawLease(self.ticket))
        self.dequeue()
        self.depart()
        self.waiting = Waiting.NOTHING
        self.message = self.begun = None
        self.phase = Phase.CLOSED
        if self.subscribed:
            self.port.unsubscribe(tuple(self.subscribed))
            self.subscribed.clear()
            self.counters.listening -= 1
        self.news.clear()
        self.release(destroy=not self.idle())

    def finish(self) -> None:
        """The end of every event: release what is free, end when draining, write."""
        if self.entered and not self.due and self.message is None and not self.replay:
            self.depart()
        if (
            self.lease is not None
            and not self.pins
            and not self.held
            and self.waiting in (Waiting.NOTHING, Waiting.HEARD)
            and self.idle()
        ):
            self.release()
        quiet = self.message is None and self.waiting is Waiting.NOTHING
        if self.draining and self.phase is Phase.READY and quiet and self.between:
            self.fatal(AdminShutdown("terminating connection due to administrator command"))
        self.flush()

    def own_refusal(self, kind: StatementKind, refusal: Refusal) -> Reject:
        """A refusal of the session's as a plan, for audit."""
        rule = refusal.rule or f"session.{type(refusal).__name__}"
        return Reject(kind, refusal.sqlstate, refusal.message, rules=(rule,))
