"""FollowingPort: which rules and which catalog a session runs under, and how it moves to newer ones.

It moves between transactions only. Where the new rules serve its tenant at another place (another server, or by another
mode), nothing that was made for the old one goes along but what the session has said itself: a server connection, a
subscription or a plan that is left over ends it. What the new place does not let it keep ends it, too. A place that is
not open yet is opened, and the statement waits. Decision 0096.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from proxy.errors import CannotConnectNow, Refusal
from proxy.server.carrying import carry
from proxy.server.services import Planning, Rules, Services
from proxy.session.greeting import with_ceilings
from proxy.session.holdings import SLACK
from proxy.session.label import label_of
from proxy.session.notifications import LISTEN
from proxy.session.parameters import ceilings_of
from proxy.session.session import ClientSession
from proxy.sql.plan import Owner, PlanContext
from proxy.tenancy.derived import APPLICATION, LISTENING, PROCESS, array_literal
from proxy.tenancy.policy import Grant, held_to

if TYPE_CHECKING:
    from proxy.sql.plan import Temporary

GONE = Refusal("terminating connection due to administrator command", sqlstate="57P01")
ARRIVING = object()  # the epoch of a session whose place is being opened


class FollowingPort:
    """The part of the session's Port that is about this."""

    services: Services
    session: ClientSession
    process_id: int

    def __init__(self) -> None:
        self.grant: Grant | None = None
        self.keys: Mapping[str, str] | None = None  # of the grant, and of this session
        self.planning: Planning | None = None
        self.context: PlanContext | None = None
        self.bare: PlanContext | None = None  # the same for an emptied search path
        self.paths: tuple[str, PlanContext] | None = None  # and for another, where a tenant may have one
        self.rules: object = None  # the rule book and catalog that context was made of
        self.looked: object = None  # the rule book that expelled() has seen
        self.catalog: object = None
        self.temporary: tuple[Temporary, ...] = ()
        self.comments = False  # are kept, by the rules
        self.arriving = False  # the rules in force serve it where nothing is open yet
        self.gone = False  # they have no place for this session

    @property
    def label(self) -> str:
        """What stands before the session's application_name at the server: on a shared one, who it is."""
        grant = self.session.grant
        if grant is None or grant.policy.isolation == "database":
            return ""
        return label_of(grant.tenant, self.session.user)

    def follow(self) -> None:
        """Moves to new rules and a new catalog between transactions."""
        planning = self.planning
        if planning is None or (self.services.rules() is self.rules and planning.catalog is self.catalog):
            return
        session, grant = self.session, self.grant
        if not session.between or self.gone:
            return
        if session.lease is not None and not session.pins and grant is not None and self.moved(grant):
            session.release()  # nothing was sent yet of what waits
        try:
            if not self.bind():
                self.leave()
        except CannotConnectNow:
            if self.services.wait_planning is None:
                self.leave()
            else:
                self._enter(ARRIVING)
                self.arriving = True

    def leave(self) -> None:
        """The rules have no place for the session: every statement is planned again, and refused."""
        self.gone, self.arriving = True, False
        self._enter(GONE)

    def _enter(self, epoch: object) -> None:
        """Nothing that was planned before may be sent any more: what waits is planned again."""
        self.session.epoch = epoch
        self.session.plans.clear()

    async def arrive(self) -> bool:
        """Opens the place where the rules in force serve the session. False when that cannot be; the session may be at
        something else by then.
        """
        wait, rules = self.services.wait_planning, self.services.rules()
        grant = self.granted(rules)
        if wait is None or grant is None:
            return True
        try:
            await wait(grant)
        except CannotConnectNow:
            return self.services.rules() is not rules  # others may serve it elsewhere
        return True

    def granted(self, rules: Rules) -> Grant | None:
        """What these rules grant the session's login now. That its password expired, or that nobody may come from
        where it came from, ends no session, as at PostgreSQL."""
        login = rules.login(self.session.user)
        return None if login is None or login.disabled else rules.grant(login, self.session.database)

    def expelled(self) -> bool:
        """Have the rules in force no place for this session? Asked of sessions that say nothing. Who listens, and is
        served elsewhere by now, would never hear anything again, nor ask.
        """
        rules = self.services.rules()
        if self.rules is None or rules is self.looked:
            return False
        self.looked = rules
        fresh, grant, session = self.granted(rules), self.grant, self.session
        if fresh is None or grant is None or fresh.tenant != grant.tenant:
            return True
        return fresh.place != grant.place and bool(session.subscribed or LISTEN in session.pins)

    def moved(self, grant: Grant) -> bool:
        """Is its tenant served elsewhere, by rules that the session has not seen yet or that it has gone by since?"""
        rules = self.services.rules()
        fresh = self.grant if rules is self.rules else self.granted(rules)
        return fresh is not None and fresh.tenant == grant.tenant and fresh.place != grant.place

    def bind(self) -> bool:
        """The grant, planner and context of the rules in force. False when there is no place for the session;
        CannotConnectNow when that is not open.
        """
        rules = self.services.rules()
        session, former = self.session, self.grant
        grant = session.grant
        if self.rules is not rules:
            fresh = self.granted(rules)
            if fresh is None or grant is None or fresh.tenant != grant.tenant:
                return False
            if (session.lease is not None or session.subscribed) and fresh.place != grant.place:
                return False  # a pinned connection cannot move, nor one that listens
            grant = fresh
        if grant is None:
            return False
        self.planning = self.services.planning(grant)
        self.catalog = self.planning.catalog
        self.rules = rules
        self.arriving = False
        self.grant = session.grant = grant
        mine = {PROCESS: str(self.process_id), LISTENING: array_literal(session.settings.objects.heard)}
        self.keys = {**grant.keys, **mine, APPLICATION: self.label}
        login = rules.login(session.user)
        own = None if login is None else login.limits
        session.limits = held_to(grant.limits, own)
        session.result.limit(session.limits)
        budgets, now = self.services.budgets, self.services.clock()
        session.budget = budgets.of(grant.tenant, session.user, grant.limits, own, session.counters, now)
        session.storage = self.services.storage(grant)
        self.comments = grant.comments == "keep"
        session.frontend.texts = grant.limits.statement_size + SLACK
        session.generation = rules.generation
        owner = Owner(grant.tenant, grant.limits.plan_cache_bytes)
        version = self.planning.catalog.version
        self.context = PlanContext(grant.policy, version, grant.policy.path, grant.server.role, owner=owner)
        self.bare = self.paths = None
        away = former is not None and former.place != grant.place
        if away and not carry(session, self.planning, self.context, self.label):
            self.leave()  # what it has prepared and set is of the former place
            return False
        session.settings.limit(with_ceilings(session, session.startup), ceilings_of(session.limits))
        self._enter(self.context)
        return True
