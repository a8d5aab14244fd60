"""What a session wants done that takes time, or that it must not do itself.

Plain values: server/client.py performs them and answers with an event of events.py. Bytes for either side are not
actions: they go out through the session's Port at once, because a value per message would cost more than the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.errors import Refusal
from proxy.quota.gauge import Line
from proxy.sql.plan import Decision


@dataclass(frozen=True, slots=True)
class PlanStatement:
    """Plan `text`; answered by StatementPlanned with the same ticket."""

    ticket: int
    text: bytes
    parameter_types: tuple[int, ...]
    extended: bool


@dataclass(frozen=True, slots=True)
class LeaseBackend:
    """Wait for a server connection; answered by BackendLeased or LeaseRefused with the same ticket."""

    ticket: int


@dataclass(frozen=True, slots=True)
class WithdrawLease:
    """The lease of this ticket is no longer wanted, or its wait for a limit is over; what was granted meanwhile goes
    back unused.
    """

    ticket: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Let the tenant's listening connection listen to `channel`, which is `name` to the client; answered by Subscribed
    with the same ticket.
    """

    ticket: int
    channel: str
    name: str


@dataclass(frozen=True, slots=True)
class HearAll:
    """Say when everything that was committed until now has been notified; answered by Heard with the same ticket."""

    ticket: int


@dataclass(frozen=True, slots=True)
class FindLogin:
    """Who logs in, and where to; answered by LoginFound or LoginRefused."""

    user: str
    database: str
    application_name: str


@dataclass(frozen=True, slots=True)
class WeighProof:
    """A proof was given; answered by ProofWeighed when the client may hear whether it was right."""

    right: bool


@dataclass(frozen=True, slots=True)
class AwaitAdmission:
    """Wait, a second or so, for the permits of a connection; answered by ClientAdmitted."""


@dataclass(frozen=True, slots=True)
class AwaitQuota:
    """Wait for so many seconds, in this line if there is one, or else for what the counter store answers; answered by
    QuotaHeard with the same ticket.
    """

    ticket: int
    seconds: float = 0.0
    line: Line | None = None


@dataclass(frozen=True, slots=True)
class LearnParameters:
    """The ParameterStatus values that a server reports once `settings` are applied; kept for later sessions."""

    settings: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StartTls:
    """Begin the TLS handshake now: `S` was written, or the client began by itself, and `data` is what it sent."""

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class CancelBackend:
    """A CancelRequest arrived on this connection: pass it on if the key fits, then close without an answer."""

    process_id: int
    secret_key: bytes


@dataclass(frozen=True, slots=True)
class StopResult:
    """Cancel what runs on the leased connection, and read it whatever the client does; answered by CancelFinished. The
    lease is kept until then."""


@dataclass(frozen=True, slots=True)
class ResultStopped:
    """Nothing more is thrown away: the connection is read as the client reads."""


@dataclass(frozen=True, slots=True)
class Established:
    """The session is authenticated and ready: the login timeout ends."""


@dataclass(frozen=True, slots=True)
class CloseFrontend:
    """Close the client's connection after everything written so far."""


@dataclass(frozen=True, slots=True)
class Audit:
    """A refusal, for the audit line."""

    decision: Decision
    text: bytes
    message: str


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """Nobody was let in: what the client was told, and what it was not."""

    refusal: Refusal
    why: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Something that the operator should know and the client must not: a protocol violation of the server and the
    like.
    """

    text: str


Action = (
    PlanStatement
    | LeaseBackend
    | WithdrawLease
    | Subscribe
    | HearAll
    | FindLogin
    | WeighProof
    | AwaitAdmission
    | AwaitQuota
    | LearnParameters
    | StartTls
    | CancelBackend
    | StopResult
    | ResultStopped
    | Established
    | CloseFrontend
    | Audit
    | LoginRefused
    | Report
)
