"""What happens to a session besides bytes.

Plain values given to ClientSession.handle. Bytes come through ClientSession.data and ClientSession.backend_data.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.auth.scram import Verifier
from proxy.auth.token import Issuer
from proxy.errors import Refusal
from proxy.session.ports import Lease
from proxy.sql.plan import Planned
from proxy.tenancy.policy import Grant, Limits


@dataclass(frozen=True, slots=True)
class StatementPlanned:
    """The answer to PlanStatement."""

    ticket: int
    planned: Planned


@dataclass(frozen=True, slots=True)
class BackendLeased:
    """The answer to LeaseBackend."""

    ticket: int
    lease: Lease


@dataclass(frozen=True, slots=True)
class LeaseRefused:
    """The other answer to LeaseBackend."""

    ticket: int
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class BackendLost:
    """The leased server connection is gone; the pool knows already."""

    reason: str


@dataclass(frozen=True, slots=True)
class FrontendLost:
    """The client is gone."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token is asked for. subject: what its issuer must call the client; None: no token will do. now: seconds since
    the epoch."""

    issuer: Issuer
    subject: str | None
    now: float


@dataclass(frozen=True, slots=True)
class LoginFound:
    """Who it is, if the proof is right. Whoever may not come in gets a mock verifier and no grant, fails where a wrong
    password fails, and `why` is for the log only. `refusal` is shown once the password was right, `barred` before
    anything is asked. bearer: a token is asked for instead of a password. certain: nothing is, TLS proved it.
    limits: the login's own."""

    verifier: Verifier
    nonce: bytes
    grant: Grant | None
    refusal: Refusal | None = None
    why: str = ""
    barred: Refusal | None = None
    bearer: Bearer | None = None
    certain: bool = False
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class ProofWeighed:
    """The answer to WeighProof. refusal: the proof counts for nothing, right or wrong."""

    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class ClientAdmitted:
    """The answer to AwaitAdmission. refusal: there is no place."""

    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class QuotaHeard:
    """The answer to AwaitQuota: it may be asked again."""

    ticket: int


@dataclass(frozen=True, slots=True)
class TlsStarted:
    """The TLS handshake is complete. binding: of the certificate that was shown, if one is defined (auth.binding);
    alpn: the protocol that was agreed on, if any was.
    """

    binding: bytes | None = None
    alpn: str | None = None


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The server listens to the channel, unless there is a refusal."""

    ticket: int
    channel: str
    name: str
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """Everything that was committed when HearAll was said has been notified."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Notified:
    """A notification of a channel that was subscribed to; process_id is what clients know its sender by."""

    channel: str
    payload: str
    process_id: int


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """A cancel request with this session's key arrived; it is on its way to the server if a connection is leased."""


@dataclass(frozen=True, slots=True)
class CancelFinished:
    """The cancel connection to the server is closed: the lease may end again."""


@dataclass(frozen=True, slots=True)
class LeaseDelayed:
    """The lease of this ticket is still waited for, after query_wait_notify."""

    ticket: int


@dataclass(frozen=True, slots=True)
class LeaseMoved:
    """While the lease of this ticket was waited for, new rules took the tenant to another place: what waits goes
    there."""

    ticket: int


@dataclass(frozen=True, slots=True)
class RowsOverdue:
    """The client has taken too long to send the rows of a COPY."""


@dataclass(frozen=True, slots=True)
class ResultOverdue:
    """A statement that was stopped for its result has not ended in time."""


@dataclass(frozen=True, slots=True)
class Drain:
    """The proxy goes away: end when the transaction does."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """End now, with this refusal as a FATAL error."""

    refusal: Refusal


Event = (
    StatementPlanned
    | BackendLeased
    | LeaseRefused
    | BackendLost
    | FrontendLost
    | LoginFound
    | ProofWeighed
    | ClientAdmitted
    | QuotaHeard
    | TlsStarted
    | Subscribed
    | Heard
    | Notified
    | CancelRequested
    | CancelFinished
    | LeaseDelayed
    | LeaseMoved
    | RowsOverdue
    | ResultOverdue
    | Drain
    | Terminate
)
