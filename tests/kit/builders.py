"""Builders: a planner that forwards everything, rules of one login, services around them, for tests below the SQL core.

The planner here confines nothing; it stands where the real one stands so that sessions and sockets can be tested
without it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from proxy.auth.scram import build_verifier, mock_verifier, parse_verifier
from proxy.auth.token import Issuer
from proxy.catalog.model import Catalog
from proxy.pool.listening import Listening
from proxy.server.planned import Question
from proxy.server.services import AuditContext, Options, Services
from proxy.server.tls import ServerTls
from proxy.session.actions import Audit
from proxy.session.traffic import Traffic
from proxy.sql.copied import CopyOut
from proxy.sql.plan import (
    NO_EFFECTS,
    Answer,
    AnswerKind,
    Effects,
    Forward,
    KeyCheck,
    Plan,
    PlanContext,
    Planned,
    Reject,
    SettingEffect,
    StatementKind,
    Template,
    TransactionVerb,
)
from proxy.tenancy.derived import SEED, seed
from proxy.tenancy.policy import Credentials, Grant, Limits, Login, Policy, Server

PASSWORD = "open sesame"

_ANSWERS = {
    "RESET ALL": AnswerKind.RESET_ALL,
    "DISCARD ALL": AnswerKind.DISCARD_ALL,
    "DEALLOCATE ALL": AnswerKind.DEALLOCATE_ALL,
    "UNLISTEN *": AnswerKind.UNLISTEN,
    "SELECT PG_ADVISORY_UNLOCK_ALL()": AnswerKind.ADVISORY_UNLOCK_ALL,
}
_VERBS = (
    (r"(?:BEGIN|START TRANSACTION)\b", TransactionVerb.BEGIN),
    (r"(?:COMMIT|END)\b", TransactionVerb.COMMIT),
    (r"(?:ROLLBACK TO|ROLLBACK TO SAVEPOINT) +(\w+)", TransactionVerb.ROLLBACK_TO),
    (r"(?:ROLLBACK|ABORT)\b", TransactionVerb.ROLLBACK),
    (r"SAVEPOINT +(\w+)", TransactionVerb.SAVEPOINT),
    (r"RELEASE (?:SAVEPOINT +)?(\w+)", TransactionVerb.RELEASE),
)


def forward(text: bytes, effects: Effects = NO_EFFECTS, kind: StatementKind = StatementKind.SELECT) -> Forward:
    """A plan that sends `text` as it is."""
    return Forward(kind, Template((text,)), effects)


def plan_one(text: str) -> Plan:
    """One statement's plan: its effects by its first words. `forbidden` in a text is what this planner refuses; KEY is
    followed by a literal or parameter that must be the key, which is 1."""
    plain = " ".join(text.split())
    if plain.upper() in _ANSWERS:
        answer = _ANSWERS[plain.upper()]
        if answer is AnswerKind.RESET_ALL:
            sent = forward(text.encode(), Effects(resets=True), StatementKind.SETTING)
            return Answer(StatementKind.SETTING, answer, sent=sent)
        if answer is AnswerKind.DISCARD_ALL:
            sent = forward(text.encode(), Effects(discards=True), StatementKind.DISCARD)
            return Answer(StatementKind.DISCARD, answer, sent=sent)
        argument = "pg_advisory_unlock_all" if answer is AnswerKind.ADVISORY_UNLOCK_ALL else ""
        return Answer(StatementKind.OTHER, answer, argument)
    if "forbidden" in plain:
        return Reject(StatementKind.SELECT, "42P01", 'relation "forbidden" does not exist', position=15)
    for pattern, verb in _VERBS:
        if found := re.match(pattern, plain, re.IGNORECASE):
            name = found.group(1) if found.groups() else None
            return forward(text.encode(), Effects(transaction=verb, savepoint=name), StatementKind.TRANSACTION)
    if found := re.match(r"KEY (\$)?(\S+)", plain):
        value = int(found.group(2)) if found.group(1) else found.group(2).encode()
        return replace(forward(text.encode()), checks=(KeyCheck("t", "default", 23, value),))
    if found := re.match(r"SET (LOCAL )?(\w+)(?: *= *| TO )(.*)", plain, re.IGNORECASE):
        effect = SettingEffect(found.group(2).lower(), found.group(3), bool(found.group(1)))
        return forward(text.encode(), Effects(settings=(effect,)), StatementKind.SETTING)
    if found := re.match(r"RESET (\w+)", plain, re.IGNORECASE):
        effect = SettingEffect(found.group(1).lower(), None)
        return forward(text.encode(), Effects(settings=(effect,)), StatementKind.SETTING)
    if plain.startswith("CREATE TEMP TABLE"):
        return forward(text.encode(), Effects(pins="test"), StatementKind.DDL)
    if plain.startswith("DROP TABLE"):
        return forward(text.encode(), Effects(unpins=("test",)), StatementKind.DDL)
    if found := re.match(r"UNLISTEN (\w+)", plain):
        return Answer(StatementKind.NOTIFY, AnswerKind.UNLISTEN, found.group(1))
    if found := re.match(r"LISTEN (\w+)", plain):
        return Answer(StatementKind.NOTIFY, AnswerKind.LISTEN, found.group(1))
    if plain.startswith("NOTIFY"):
        return forward(text.encode(), Effects(notifies=True), StatementKind.NOTIFY)
    if plain.startswith("SELECT pg_advisory_lock"):
        return forward(text.encode(), Effects(pins="advisory_lock"))
    if plain.startswith("SELECT setseed"):
        return forward(text.encode(), Effects(pins="setseed"))
    if plain.startswith("DO"):
        return forward(text.encode(), Effects(pins="untracked"), StatementKind.DDL)
    if plain.startswith("LOCK"):
        return replace(forward(text.encode(), Effects(block="LOCK TABLE"), StatementKind.LOCK), tag="LOCK TABLE")
    copied = CopyOut() if plain.startswith("COPY") and plain.endswith("TO STDOUT") else None
    reads = plain.startswith(("SELECT", "FETCH", "EXPLAIN")) or copied is not None
    return replace(forward(text.encode()), reads=reads, copy=copied)


def plan_text(text: bytes) -> Planned:
    """All statements of a text; a semicolon always separates here."""
    parts = [one.strip() for one in text.decode().split(";") if one.strip()]
    plans = tuple(plan_one(one) for one in parts)
    return Planned(plans or (Answer(StatementKind.EMPTY, AnswerKind.EMPTY),), shape=text.decode())


CATALOG = Catalog(
    version=1,
    server_version=150000,
    database="test",
    relations={},
    types={},
    functions={},
    operators={},
    casts={},
    collations={},
)


@dataclass
class ForwardingPlanner:
    """server.services.Planning without policy. `cached` False makes every text wait for its plan."""

    catalog: Catalog = CATALOG
    cached: bool = True
    plans: dict[bytes, Planned] = field(default_factory=dict)

    def lookup(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned | None:
        return self.plans.get(text) if self.cached else None

    def plan(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned:
        planned = plan_text(text)
        if planned.rejection is None:
            self.plans[text] = planned
        return planned

    async def wait_plan(
        self,
        text: bytes,
        context: PlanContext,
        parameter_types: Sequence[int] = (),
        extended: bool = False,
        spent: Callable[[float], None] | None = None,
        low: bool = False,
    ) -> Planned:
        return await self.elsewhere(Question(text, context, tuple(parameter_types), extended), spent, low)

    async def elsewhere(self, asked: Question, spent: Callable[[float], None] | None, low: bool) -> Planned:
        """What wait_plan answers, for who plans otherwise there."""
        return self.plan(*asked)

    async def refresh(self, seen: int) -> bool:
        return False


POLICY = Policy(database="test", isolation="row", tenant_column="tenant_id", relations={})


def grant(port: int = 5432, limits: Limits | None = None, role: str = "postgres", tenant: str = "acme") -> Grant:
    """A tenant on a server of this machine."""
    return Grant(
        tenant=tenant,
        database="test",
        server=Server("127.0.0.1", port, "postgres", role),
        credentials=Credentials(tls="disable"),
        policy=POLICY,
        keys={"default": "1", SEED: seed(tenant, "postgres")},
        limits=limits if limits is not None else Limits(),
    )


@dataclass
class OneTenant:
    """server.services.Rules with the logins given, all of one tenant."""

    granted: Grant
    logins: tuple[str, ...] = ("alice",)
    generation: int = 1
    limits: Limits | None = None  # the logins' own

    def login(self, name: str) -> Login | None:
        return Login(name, self.granted.tenant, PARSED, limits=self.limits) if name in self.logins else None

    def issuer(self, name: str) -> Issuer | None:
        return None

    def grant(self, login: Login, database: str) -> Grant | None:
        return self.granted if database == self.granted.database else None


VERIFIER = build_verifier(PASSWORD, b"salt of the tests", 4096)
PARSED = parse_verifier(VERIFIER)


class Recorder:
    """A log and audit sink that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.audited: list[tuple[Audit, AuditContext]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.events.append(("info", event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        self.events.append(("warning", event, fields))

    def error(self, event: str, **fields: Any) -> None:
        self.events.append(("error", event, fields))

    def audit(self, refusal: Audit, who: AuditContext) -> None:
        self.audited.append((refusal, who))

    @property
    def errors(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [one for one in self.events if one[0] == "error"]


def fill_whole(plan: Forward, literals: tuple[bytes, ...]) -> bytes:
    """The text of a plan without holes."""
    return plan.template.pieces[0]


def services(
    rules: OneTenant,
    pools: Any,
    planner: ForwardingPlanner | None = None,
    log: Recorder | None = None,
    options: Options | None = None,
    allowed_setting: Callable[[Policy, str, str], bool] = lambda policy, name, value: name != "role",
    tls: ServerTls | None = None,
    now: Callable[[], float] = time.time,
) -> Services:
    """Services around a forwarding planner."""
    planning = planner if planner is not None else ForwardingPlanner()
    recorder = log if log is not None else Recorder()
    serial = iter(range(1, 1_000_000))
    return Services(
        rules=lambda: rules,
        planning=lambda _: planning,
        pools=pools,
        listening=Listening(pools),
        counters=Traffic(),
        audit=recorder.audit,
        audit_login=lambda **fields: recorder.warning("log-in refused", **fields),
        log=recorder,
        fill=lambda plan, _, literals: fill_whole(plan, literals),
        answer=lambda fields, plan, catalog, policy, text, keys: fields,
        allowed_setting=allowed_setting,
        mock_verifier=lambda name: mock_verifier(b"secret of the tests", name),
        asked_verifier=lambda login: None,
        proof_failed=lambda name: None,
        nonce=lambda: b"nonce-of-the-tests-%09d" % next(serial),
        secret_key=lambda: next(serial).to_bytes(4, "big") * 8,
        clock=time.perf_counter,
        now=now,
        tls=lambda: tls,
        options=options if options is not None else Options(),
    )
