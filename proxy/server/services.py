"""What the server needs of the rest of the house, as protocols and one value; app fills it, tests fill it with less.

Nothing here is global: a Services value is handed to the listener, and by it to every client connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from proxy.auth.addresses import Networks
from proxy.auth.scram import Verifier
from proxy.auth.token import Issuer
from proxy.catalog.model import Catalog
from proxy.catalog.sockets import PEER_TIMEOUT
from proxy.quota.budgets import Budgets
from proxy.quota.gauge import Gauge
from proxy.quota.rationing import Rationing
from proxy.quota.storage import UNLIMITED, Storage
from proxy.server.tls import ServerTls
from proxy.session.actions import Audit
from proxy.session.ports import Lease
from proxy.session.traffic import Traffic
from proxy.sql.plan import Forward, PlanContext, Planned
from proxy.tenancy.policy import Grant, Login, Policy


class Rules(Protocol):
    """The rule book in force (tenancy.rulebook.RuleBook)."""

    @property
    def generation(self) -> int:
        """Grows with every reload."""

    def login(self, name: str) -> Login | None:
        """The login of that name."""

    def issuer(self, name: str) -> Issuer | None:
        """Whose token a login of that name is asked for."""

    def grant(self, login: Login, database: str) -> Grant | None:
        """What the login may do on a database."""


class Planning(Protocol):
    """Plans for one database; a Planner with whatever the app put around it."""

    @property
    def catalog(self) -> Catalog:
        """The present picture; another object once it changed."""

    def lookup(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned | None:
        """The plans of a text that was planned before."""

    def plan(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned:
        """Plans at once, on the loop; for short texts."""

    async def wait_plan(
        self,
        text: bytes,
        context: PlanContext,
        parameter_types: Sequence[int] = (),
        extended: bool = False,
        spent: Callable[[float], None] | None = None,
        low: bool = False,
    ) -> Planned:
        """Plans elsewhere; for long texts. spent: told once, whatever happens, how many seconds this call cost. low:
        where nobody else waits for it.
        """

    async def refresh(self, seen: int) -> bool:
        """Looks at the database again, rate limited; True when its catalog is another than that of version `seen`, with
        which a statement was planned. Asked before an unknown name is refused.
        """


class Connection(Protocol):
    """What the server asks of a leased connection besides session.ports.Link (pool.connection.ServerConnection)."""

    receiver: Any

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    async def cancel(self) -> None:
        """Cancels what runs there; returns when the cancel connection is closed."""


class PoolsPort(Protocol):
    """pool.pools.Pools, as far as clients use it."""

    def lease_nowait(self, grant: Grant) -> Any:
        """A Lease, or None."""

    async def wait_lease(self, grant: Grant, moved: Callable[[Grant], bool] = ...) -> Any:
        """A Lease; or a Refusal raised, or what says that it moved."""

    def release(self, lease: Any, destroy: bool = False, cancel: bool = False) -> None:
        """The lease ends. destroy: its connection is closed; cancel: what runs on it is cancelled before."""


class Permits(Protocol):
    """fleet.rationing.StoreRationing, as far as clients use it."""

    @property
    def rationing(self) -> Rationing:
        """Whose gauges they are."""

    async def wait_turn(self) -> None:
        """Waits until the store has answered, or not, once more."""

    async def wait_enter(self, gauge: Gauge, timeout: float) -> bool:
        """A permit, now or when one becomes free; False after `timeout` seconds without."""


class ListeningPort(Protocol):
    """pool.listening.Listening, as far as clients use it."""

    async def wait_subscribed(self, grant: Grant, subscriber: Any, channel: str) -> None:
        """From the return on the subscriber is notified; or a Refusal raised."""

    async def wait_heard(self, grant: Grant) -> None:
        """Everything that was committed until now was notified; or a ConnectionFailure raised."""

    def listens(self, grant: Grant) -> bool:
        """Does any session of the tenant listen?"""

    def unsubscribe(self, grant: Grant, subscriber: Any, channels: tuple[str, ...]) -> None:
        """It is notified of these no more."""


class Log(Protocol):
    """structlog's bound logger, as far as it is used here."""

    def info(self, event: str, **fields: Any) -> Any: ...

    def warning(self, event: str, **fields: Any) -> Any: ...

    def error(self, event: str, **fields: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Options:
    """Limits of the process. Times in seconds, sizes in bytes."""

    max_client_connections: int = 1000
    login_timeout: float = 60.0
    drain_timeout: float = 30.0
    plan_inline_bytes: int = 1024
    planner_processes: int = 1
    peer_timeout: float = PEER_TIMEOUT
    write_buffer: int = 262_144  # towards a client, before the server connection is not read any more
    read_buffer: int = 262_144  # of a client's messages that wait, before the client is not read any more
    write_timeout: float = 300.0  # for a client to take most of a full write buffer
    connection_rate: float = 1000.0  # new connections per second
    address_connection_rate: float = 500.0  # of one address
    memory_limit: int = 8 << 30  # of the process; 0: none
    sweep_interval: float = 0.5
    proxy_protocol_from: Networks = field(default_factory=lambda: Networks(()))  # who tell addresses
    host: int = 0  # 6 bits of the virtual process id
    worker: int = 0  # 5 bits
    workers: int = 1

    @property
    def first(self) -> bool:
        """Does this process do what one alone must do?"""
        return self.worker == 0


@dataclass(frozen=True, slots=True)
class AuditContext:
    """Who was refused."""

    tenant: str
    login: str
    database: str
    peer: str
    application_name: str


async def nowhere(process_id: int, secret_key: bytes) -> bool:  # there is no other process
    """Cancels nothing."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a client connection is given."""

    rules: Callable[[], Rules]
    planning: Callable[[Grant], Planning]  # CannotConnectNow while it is not open
    pools: PoolsPort
    listening: ListeningPort
    counters: Traffic  # of every login
    audit: Callable[[Audit, AuditContext], None]
    audit_login: Callable[..., Any]  # of who was not let in, by keyword: what the line holds
    log: Log
    fill: Callable[[Forward, Mapping[str, str], tuple[bytes, ...]], bytes]
    answer: Callable[[dict[str, str], Forward | None, Catalog, Policy, bytes, Mapping[str, str]], dict[str, str]]
    allowed_setting: Callable[[Policy, str, str], bool]
    mock_verifier: Callable[[str], Verifier]
    asked_verifier: Callable[[Login], Verifier | None]  # what a server told of the login
    proof_failed: Callable[[str], None]  # of the login of that name
    nonce: Callable[[], bytes]  # printable, at least 18 random bytes
    secret_key: Callable[[], bytes]  # wire.startup.LONG_KEY random bytes
    clock: Callable[[], float]  # monotonic seconds
    now: Callable[[], float]  # seconds since the epoch
    proof_weighed: Callable[[str, str, bool], object] = lambda _login, _address, _right: None  # for other workers
    cancel_elsewhere: Callable[[int, bytes], Awaitable[bool]] = nowhere  # a process id of another worker or host
    wait_planning: Callable[[Grant], Awaitable[None]] | None = None  # until it is open; CannotConnectNow when it cannot
    storage: Callable[[Grant], Storage] = lambda grant: UNLIMITED  # what the grant's tenant has stored
    tls: Callable[[], ServerTls | None] = lambda: None  # as of now: a reload may bring another certificate
    permits: Permits | None = None  # of limits that other processes share
    options: Options = Options()
    budgets: Budgets = field(default_factory=Budgets)


__all__ = [
    "AuditContext",
    "Connection",
    "Lease",
    "ListeningPort",
    "Log",
    "Options",
    "Planning",
    "PoolsPort",
    "Rules",
    "Services",
]
