"""Plan: what becomes of one statement, and PlanContext: everything the planner may read besides the text.

A Forward exists only after verify accepted its text. Its text is a Template: bytes with holes for the tenant's key
values and for lifted literals. render.fill is the only function that fills them. Plans hold no tenant's key value: a
decision that looked at one would have to be keyed by it, and none does.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from proxy.catalog.model import Column, Relation
from proxy.tenancy.policy import COPY, DDL, READ, UNCLASSED, WRITE, Policy

if TYPE_CHECKING:
    from proxy.sql.copied import CopyIn, CopyOut
    from proxy.sql.restored import Restore

STATEMENT_NAME = b"pw_00000000"
"""Stands in the first piece of a template for the server's name of a prepared statement, which is as long."""


class StatementKind(enum.StrEnum):
    """What a statement is, for metrics, limits and the session. Names follow PostgreSQL's command tags."""

    SELECT = "select"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"
    COPY = "copy"
    TRANSACTION = "transaction"
    SETTING = "setting"
    SHOW = "show"
    CURSOR = "cursor"
    PREPARE = "prepare"
    NOTIFY = "notify"
    DISCARD = "discard"
    EXPLAIN = "explain"
    LOCK = "lock"
    DDL = "ddl"
    EMPTY = "empty"
    OTHER = "other"
    INVALID = "invalid"  # did not parse


COUNTED = {
    StatementKind.SELECT: READ, StatementKind.CURSOR: READ, StatementKind.EXPLAIN: READ, StatementKind.COPY: COPY,
    StatementKind.DDL: DDL,
}  # fmt: skip
"""Classes of statements, where they do not write; a COPY and DDL are what they are."""


class TransactionVerb(enum.Enum):
    """What a statement does to the transaction."""

    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"
    RELEASE = "release"
    ROLLBACK_TO = "rollback to"


@dataclass(frozen=True, slots=True)
class SettingEffect:
    """SET, SET LOCAL or RESET of one setting. value None: back to the session's default; else the text after TO as the
    server would print it (already quoted where needed). parameter: the value is Bind's $n, and known only then."""

    name: str
    value: str | None
    local: bool = False
    parameter: int | None = None
    own: bool = False  # of the session's, which means it as it is


@dataclass(frozen=True, slots=True)
class Preparation:
    """SQL PREPARE: the statement that the name stands for from then on, as Parse with these types would define it."""

    name: str
    types: tuple[int, ...]
    plan: Forward


@dataclass(frozen=True, slots=True)
class Execution:
    """EXECUTE of a prepared statement, also within another statement. arguments: of each, its literal, the text of one
    that was not lifted, or None where the value is NULL or is not known before it runs. explained: by EXPLAIN.
    """

    name: str
    arguments: tuple[LiteralHole | bytes | None, ...] = ()
    explained: bool = False


@dataclass(frozen=True, slots=True)
class Temporary:
    """A temporary table. columns None: not all are known; a column's type 0: it is not. drops: with its transaction."""

    name: str
    columns: tuple[Column, ...] | None
    drops: bool = False

    @property
    def relation(self) -> Relation:
        """As the catalog would show it."""
        return Relation(0, "pg_temp", self.name, "r", columns=self.columns or ())


@dataclass(frozen=True, slots=True)
class CursorEffect:
    """DECLARE of a cursor. hold: it outlives the transaction."""

    name: str
    hold: bool


@dataclass(frozen=True, slots=True)
class Effects:
    """What a statement does to the session or the server connection; check-in undoes exactly what is noted here."""

    transaction: TransactionVerb | None = None
    savepoint: str | None = None
    chain: bool = False  # COMMIT/ROLLBACK AND CHAIN
    settings: tuple[SettingEffect, ...] = ()
    writes: bool = False
    grows: bool = False  # it adds rows, or makes some larger; of what outlives the session
    pins: str | None = None  # why the server connection must stay with the session from now on
    taints: bool = False  # the server connection must be closed at check-in
    block: str | None = None  # the command that only a transaction block may hold
    unlistens: bool = False  # UNLISTEN *, where a session listens on its own connection
    notifies: bool = False
    draws: bool = False  # from a sequence of the tenant's own
    fresh: bool = False  # the text is filled with what the session has now: anew for each Bind
    positioned: str | None = None  # WHERE CURRENT OF this cursor: one that shows rows of its table as they are
    unpins: tuple[str, ...] = ()  # the reasons for which it need not stay any longer
    declares: CursorEffect | None = None
    closes: str | None = None  # a cursor's name, "" for all of them
    creates: Temporary | None = None
    drops: tuple[str, ...] = ()  # names of temporary tables; "" for all of them
    prepares: Preparation | None = None
    executes: Execution | None = None
    resets: bool = False  # RESET ALL
    discards: bool = False  # DISCARD ALL

    @property
    def announced(self) -> bool:
        """Must it be noted before the statement is sent?"""
        return self.notifies or self.draws

    @property
    def noted(self) -> bool:
        """Must the session hear of it when the statement completes?"""
        made = self.declares is not None or self.closes is not None or self.creates is not None or self.drops
        named = made or self.unlistens or self.resets or self.discards
        return bool(named or self.settings or self.transaction or self.pins or self.unpins or self.taints)

    @property
    def asked(self) -> bool:
        """Must the session be asked before the statement is sent?"""
        return bool(self.settings or self.prepares or self.executes or self.positioned or self.declares or self.creates)


NO_EFFECTS = Effects()
CATALOGS = "catalog.confine"  # the rule by which a statement's catalogs show the tenant's world
ADVISORY_LOCK = "advisory_lock"
UNTRACKED = "untracked"  # what a statement has done to the session is not known
SETSEED = "setseed"  # random() is the session's own
FINAL = frozenset({UNTRACKED, SETSEED})  # not even DISCARD ALL takes it back: the connection ends with the session
OUTLASTING = FINAL | {ADVISORY_LOCK}  # reasons to pin that hold also after an error


@dataclass(frozen=True, slots=True)
class KeyHole:
    """A place for a tenant's key value, always filled as a quoted literal."""

    key: str


@dataclass(frozen=True, slots=True)
class LiteralHole:
    """A place for literal number `index` of the lifted text; kind: "i" integer, "n" decimal, "s" string, "0" NULL."""

    index: int
    kind: str


@dataclass(frozen=True, slots=True)
class ChannelHole:
    """A place for the tenant's channel for the client's `name`, always filled as a quoted identifier."""

    name: str


Hole = KeyHole | LiteralHole | ChannelHole


@dataclass(frozen=True, slots=True)
class Template:
    """pieces[0] hole[0] pieces[1] hole[1] … pieces[n]; len(pieces) == len(holes) + 1. UTF-8 bytes."""

    pieces: tuple[bytes, ...]
    holes: tuple[Hole, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """The client gives the tenant column of `table` a value, which must be the tenant's key: else 42501, and nothing
    is sent. value: a lifted literal, the text of one that was not lifted, or the number of a parameter of Bind. type
    is the column's. The check does not confine: the template writes the key itself, or NULL, whatever the value.
    """

    table: str
    key: str
    type: int
    value: LiteralHole | bytes | int


@dataclass(frozen=True, slots=True)
class NameCheck:
    """Parameter `parameter` gives a name that is cast to the type `kind` (regclass and its like): one that is hidden
    must be answered as one that does not exist. direct: the parameter, if its type is not
    declared, is of that type itself, so that in binary it is an OID. Or it is read by the function `kind`,
    current_setting.
    """

    parameter: int
    kind: str
    direct: bool


FOREIGN_ROW = "row of another tenant: "  # what the server is made to say of such a row in COPY FROM


@dataclass(frozen=True, slots=True)
class Forward:
    """Send `template`, filled, to the server. `rewritten` says whether a tenant predicate or key was put in.
    `tag` replaces the server's command tag where it differs from the client's verb."""

    kind: StatementKind
    template: Template
    effects: Effects = NO_EFFECTS
    rewritten: bool = False
    tag: str | None = None
    rules: tuple[str, ...] = ()
    positions: bytes = b""  # which places of the sent text are which of the client's; proxy/sql/positions.py reads it
    checks: tuple[KeyCheck, ...] = ()  # asked by admission.py wherever the template is filled, and at Bind
    copy: CopyIn | CopyOut | None = None
    fenced: bool = False  # a boundary stands in the query: a cursor of it cannot say which row of a table it is on
    tells_text: bool = False  # a hole takes the client's own text
    names: tuple[NameCheck, ...] = ()  # asked at Bind: names that parameters give
    begins: int | None = None  # the text is the client's own, from behind so many characters of it
    shift: tuple[int, int] = (0, 0)  # and behind so many characters of what is sent, so many more
    reads: bool = False  # it certainly does nothing else (reading.py)
    restore: Restore | None = None  # what DETAIL of a key's violation says, where the server does not
    plain: bool = field(init=False, repr=False, compare=False)  # the session has nothing to do before it is sent
    quiet: bool = field(init=False, repr=False, compare=False)  # nor while its reply is relayed, if it completes
    counted: int = field(init=False, repr=False, compare=False)  # as which class of statements by quotas

    def __post_init__(self) -> None:
        effects = self.effects
        before = self.checks or self.names or self.copy or effects.asked or effects.announced or effects.fresh
        bound = self.restore is not None and self.restore.parameters  # then they are kept until it completes
        object.__setattr__(self, "plain", not (before or effects.block or bound))
        object.__setattr__(self, "quiet", not (before or effects.block or effects.noted) and self.tag is None)
        counted = COUNTED.get(self.kind, WRITE if effects.writes else UNCLASSED)
        object.__setattr__(self, "counted", WRITE if effects.writes and counted == READ else counted)


class AnswerKind(enum.Enum):
    """What the session answers itself."""

    RESET_ALL = "RESET"
    DISCARD_ALL = "DISCARD ALL"
    DEALLOCATE = "DEALLOCATE"  # of one name, in `argument`
    DEALLOCATE_ALL = "DEALLOCATE ALL"
    LISTEN = "LISTEN"  # to the channel in `argument`
    UNLISTEN = "UNLISTEN"  # the channel in `argument`, or "" for all
    PREPARED = "PREPARE"  # what is prepared on this server connection already
    ADVISORY_UNLOCK_ALL = "SELECT 1"  # one row, one void column named `argument`
    EMPTY = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The proxy replies itself; nothing is sent to the server."""

    kind: StatementKind
    answer: AnswerKind
    argument: str = ""
    rules: tuple[str, ...] = ()
    effects: Effects = NO_EFFECTS
    sent: Forward | None = None  # what is sent instead where the session has, or will have, a connection of its own


@dataclass(frozen=True, slots=True)
class Reject:
    """Refused. `position` counts characters of the client's text from 1. `rules` is for audit and explain only."""

    kind: StatementKind
    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None
    position: int | None = None
    rules: tuple[str, ...] = ()


Plan = Forward | Answer | Reject


class Owner(NamedTuple):
    """A tenant, and how many bytes of a database's plan cache the plans may take that it brings in; None: no limit of
    its own."""

    tenant: str
    share: int | None = None


NOBODY = Owner("")


@dataclass(frozen=True, slots=True)
class PlanContext:
    """Everything the planner reads besides text and Catalog. Two sessions with equal contexts share plans."""

    policy: Policy
    catalog_version: int
    search_path: tuple[str, ...] = ("public",)  # without what is not there to the tenant
    role: str = ""  # the server role that will run it
    temporary: tuple[Temporary, ...] = ()  # the session's own tables, as far as the text can name them
    bare: bool = False  # the session has emptied its search path, as pg_dump does
    owner: Owner = field(default=NOBODY, compare=False)  # whose share of the plan cache a new plan takes

    @property
    def identity(self) -> tuple[object, ...]:
        """What plan keys hold of the context."""
        return (self.policy.policy_class, self.catalog_version, self.search_path, self.role, self.temporary, self.bare)

    def about(self, text: bytes, temporary: tuple[Temporary, ...]) -> PlanContext:
        """The context of a session with these tables, for this text: those that it does not spell do not matter. (A
        name that is spelt with escapes is not found, and then the statement is refused.)
        """
        if not temporary:
            return self
        lowered = text.decode("utf-8", "replace").lower()
        named = tuple(one for one in temporary if one.name.lower() in lowered)
        return replace(self, temporary=named) if named else self


class Planned(NamedTuple):
    """The plans of one text (several for a simple query of several statements; one EMPTY Answer for none), and the
    literals that were lifted from it (client order, raw token text as bytes, quotes included). `shape` names the
    statement in audit and metrics: the text with literals replaced, at most 2 kB. If any plan is a Reject the text must
    not be run at all."""

    plans: tuple[Plan, ...]
    literals: tuple[bytes, ...] = ()
    shape: str = ""
    cache: str = "miss"  # l1 | l2 | miss

    @property
    def rejection(self) -> Reject | None:
        for plan in self.plans:
            if isinstance(plan, Reject):
                return plan
        return None


@dataclass(frozen=True, slots=True)
class Decision:
    """The one record that explain, audit, metrics and goldens print."""

    verdict: str  # forward | answer | reject
    kind: StatementKind
    rules: tuple[str, ...]
    shape: str
    sqlstate: str | None
    effects: Effects
    generation: int
    text: str | None = None  # text sent; explain and goldens only
