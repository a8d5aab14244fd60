"""What runs: Tenant, Login, Policy, RelationRule, Limits; frozen values.

The loader makes them from rule files; sql reads Policy; pool and session read Limits. A Policy holds everything that
a plan may
depend on except the tenant's key values, so that all tenants of one `policy_class` share plans and none can read
another's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from proxy.auth.addresses import Networks
from proxy.auth.certificate import CertificateRule
from proxy.auth.scram import Verifier

PROXY_SCHEMA = "partywall"  # at a server: the proxy's own; no tenant reaches anything there
Isolation = Literal["row", "schema", "rls", "database"]
Access = Literal["tenant", "shared", "view", "hidden"]


@dataclass(frozen=True, slots=True)
class RelationRule:
    """An exception in a rule file. `tenant`: filtered by column = key; `shared`: read by all; `view`: reviewed;
    `hidden`: absent.
    """

    schema: str
    name: str
    access: Access
    tenant_column: str | None = None  # None: the database's
    key: str = "default"


@dataclass(frozen=True, slots=True)
class FunctionRule:
    """An allowed function outside pg_catalog. arguments None: every overload present; else the type names as
    written. extension: it must belong to that one; "": whosever it is.
    """

    schema: str
    name: str
    arguments: tuple[str, ...] | None = None
    extension: str = ""


CLASSES = ("read", "write", "ddl", "copy")
"""Classes of statements that have limits of their own; a plan has the number of its class, or UNCLASSED."""
READ, WRITE, DDL, COPY, UNCLASSED = range(5)


@dataclass(frozen=True, slots=True)
class ClassLimits:
    """Of the statements of one class. None: no limit."""

    concurrent_statements: int | None = None
    statements_per_second: float | None = None
    statement_burst: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Per tenant; or a login's own. None: no limit. Times in seconds, sizes in bytes."""

    connections: int | None = 100
    server_connections: int | None = 20
    share: float = 1.0  # of what tenants share: its weight
    min_pool_size: int = 0
    reserve_pool_size: int = 0
    reserve_pool_timeout: float = 5.0
    concurrent_statements: int | None = None
    statements_per_second: float | None = None
    statement_burst: int | None = None  # None: one second's worth
    rows_per_minute: int | None = None
    bytes_per_minute: int | None = None
    received_bytes_per_minute: int | None = None
    server_time_per_hour: float | None = None
    planning_time_per_minute: float | None = None  # the proxy's own time
    result_rows: int | None = None
    result_bytes: int | None = None
    statement_timeout: float | None = None
    transaction_timeout: float | None = None
    idle_in_transaction_timeout: float | None = None
    query_wait_timeout: float = 120.0
    query_wait_notify: float | None = 5.0
    statement_size: int = 1_048_576
    statement_nesting: int | None = None
    session_memory: int = 67_108_864  # of prepared statements and portals
    plan_cache_bytes: int | None = None
    storage: int | None = None
    classes: Mapping[str, ClassLimits] = field(default_factory=dict)  # by read, write, ddl, copy
    warn: frozenset[str] = frozenset()  # names of limits that are told and not enforced; of a class: write.NAME
    wait: frozenset[str] = frozenset()  # of those at which statements wait for their turn


@dataclass(frozen=True, slots=True)
class Policy:
    """What a statement may do on one database in one isolation mode, for one class of login."""

    database: str
    isolation: Isolation
    tenant_column: str
    relations: Mapping[tuple[str, str], RelationRule]  # by (schema, name)
    functions: tuple[FunctionRule, ...] = ()
    sequences: Mapping[tuple[str, str], str] = field(default_factory=dict)  # -> shared | per_tenant
    extensions: tuple[str, ...] = ()
    explain: str = "refused"
    read_only: bool = False
    statement_size: int = 1_048_576
    statement_nesting: int | None = None  # operators in one another
    schema: str = ""  # of mode schema: the tenant's own
    shared_schemas: tuple[str, ...] = ()  # of mode schema: those that all tenants read, in the order of the path
    second_wall: bool = False  # of mode row: the server has policies besides, and a role for each tenant
    own_schemas: frozenset[str] = frozenset()  # where tables are shared: schemas of other tenants' own in the database
    own_roles: frozenset[str] = frozenset()  # and the roles of these at the server
    policy_class: str = ""  # hash over every field above; equal classes share plans

    @property
    def path(self) -> tuple[str, ...]:
        """The search path that a session begins with."""
        return (self.schema, *self.shared_schemas) if self.isolation == "schema" else ("public",)

    @property
    def mode(self) -> str:
        """How a tenant is served: by what rules statements are made and settings judged, and on what path a connection
        begins. What was made for one mode is nothing for another, although server, database and role be the same.
        """
        if self.isolation == "schema":
            return f"schema {self.path!r}"
        return "row+rls" if self.second_wall and self.isolation == "row" else self.isolation

    @property
    def behind_rls(self) -> bool:
        """The tables have policies, and the role at the server is the tenant's own: mode rls, or row with it."""
        return self.second_wall or self.isolation == "rls"

    @property
    def shares_tables(self) -> bool:
        """Do other tenants have rows in its tables, which the operator defines?"""
        return self.isolation in ("row", "rls")

    @property
    def own_role(self) -> bool:
        """The role at the server serves this tenant and no other."""
        return self.behind_rls or self.isolation in ("schema", "database")


Address = tuple[str, int]
"""Host and port."""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server and database; the role is the login at the server. Hashable: it is the pool key. others:
    further addresses, in the order in which they are tried; target: libpq's target_session_attrs.
    """

    host: str
    port: int
    database: str
    role: str
    others: tuple[Address, ...] = ()
    target: str = "any"

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All of them."""
        return (self.host, self.port), *self.others

    @property
    def targets(self) -> tuple[str, ...]:
        """What is asked for of every address, and if none is that, then what."""
        return ("standby", "any") if self.target == "prefer-standby" else (self.target,)


Place = tuple[Server, str]
"""A server, database and role, and the mode in which a tenant is served there."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach a server and log in there. `password` is never printed; the others are libpq's parameters."""

    password: str | None = field(default=None, repr=False)
    tls: str = "prefer"  # sslmode
    root_certificate: str | None = None  # sslrootcert: a path, or "system"
    certificate: str | None = None  # sslcert and sslkey: paths
    key: str | None = None
    direct_tls: bool = False  # sslnegotiation
    channel_binding: bool = True  # where the server offers it
    minor_version: int = 2  # max_protocol_version, without its 3


@dataclass(frozen=True, slots=True)
class VerifierSource:
    """A query at a server that tells verifiers. Hashable: two logins with the same are asked for together."""

    server: Server
    credentials: Credentials
    query: str


@dataclass(frozen=True, slots=True)
class Keep:
    """How many archives are kept: the newest of so many days, weeks and months, and the `least` newest in any case."""

    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    least: int = 3


@dataclass(frozen=True, slots=True)
class BackupRule:
    """When a tenant is backed up, where to, and what stays. schedule: a cron expression, in UTC; to: a folder or URL
    with places in braces; recipients: of age, none: not encrypted; keep: None: nothing is ever removed.
    """

    schedule: str
    to: str
    recipients: tuple[str, ...] = ()
    keep: Keep | None = None


@dataclass(frozen=True, slots=True)
class TenantTable:
    """Where a table of tenants is. Hashable."""

    server: Server
    credentials: Credentials

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.server.host}:{self.server.port}/{self.server.database} {PROXY_SCHEMA}.tenants"


@dataclass(frozen=True, slots=True)
class Grant:
    """One tenant on one database: where it goes, what it may do, which constants confine it."""

    tenant: str
    database: str
    server: Server
    credentials: Credentials
    policy: Policy
    keys: Mapping[str, str]  # key name -> value in text form; only ever filled into a plan's key holes
    limits: Limits
    settings: Mapping[str, str] = field(default_factory=dict)
    pool_sharing: str = "reset"
    max_server_connections: int | None = None  # of this process to the server, all tenants together
    pool_mode: str = "transaction"  # or session: a connection for as long as the session
    lazy_begin: bool = False  # BEGIN goes to the server with the statement after it
    comments: str = "drop"  # or keep: the one at the end of a statement goes to the server
    accept: tuple[str, ...] = ()  # names of the doctor's findings
    routed: bool = False  # its tenant says where it goes: that is its trouble alone when it cannot be served there

    @property
    def place(self) -> Place:
        """Where it is served, as whom, and how. Nothing that belongs to one place is of use at another."""
        return self.server, self.policy.mode

    @property
    def home(self) -> str:
        """Its place for people and for the journal of a move: of rows among others' just where that is."""
        at = ",".join(f"{host}:{port}" for host, port in self.server.addresses)
        mode = self.policy.mode
        said = f"schema {self.policy.schema}" if self.policy.schema else "" if mode == "row" else mode
        return f"{at}/{self.server.database}{', ' if said else ''}{said}"

    @property
    def wall_keys(self) -> Mapping[str, str] | None:
        """What the server must know of the tenant's role, where it has policies: the keys of the rule file."""
        if not self.policy.behind_rls:
            return None
        return {name: value for name, value in self.keys.items() if not name.startswith("$")}


@dataclass(frozen=True, slots=True)
class Login:
    """A client login; its tenant is the only source of tenant identity. valid_until: of the password, in seconds since
    the epoch. allow_from: every one of these must have the client's address.
    """

    name: str
    tenant: str
    verifier: Verifier | None = field(repr=False)  # None: no password will do
    read_only: bool = False
    disabled: bool = False
    valid_until: float | None = None
    allow_from: tuple[Networks, ...] = ()
    token: str | None = None  # what its issuer calls it
    source: VerifierSource | None = None  # who knows its verifier
    certificate: CertificateRule | None = None  # it must show one with this name, besides what else it proves
    limits: Limits | None = None  # its own; None: it has none


INSTEAD = ("result_rows", "result_bytes", "statement_timeout", "transaction_timeout", "idle_in_transaction_timeout")
"""What a login's own limits replace; its others are a budget besides the tenant's."""


def held_to(tenant: Limits, login: Limits | None) -> Limits:
    """The limits of a session: the tenant's, but the login's own where it has some of INSTEAD."""
    if login is None:
        return tenant
    own = {name: value for name in INSTEAD if (value := getattr(login, name)) is not None}
    if not own:
        return tenant
    return replace(tenant, **own, warn=(tenant.warn - own.keys()) | (login.warn & own.keys()))
