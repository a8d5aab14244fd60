"""AskingClient: how a client's statement gets its plan: at once, elsewhere, after another look at the database, or when
the place is open where the rules serve it by now.

A plan and the picture that it is made of always belong to one place: what was asked before a session moved is asked
anew.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.errors import CannotConnectNow, InvalidAuthorization, Refusal
from proxy.server.listens import ListeningClient
from proxy.server.planned import Account, Question
from proxy.server.services import Planning
from proxy.server.sharing import flat
from proxy.session.actions import PlanStatement
from proxy.session.conversation import Waiting
from proxy.session.events import StatementPlanned
from proxy.sql.plan import PlanContext, Planned, Reject, StatementKind

UNKNOWN_NAME = frozenset({"42P01", "42883", "42704", "42703", "3F000"})


class AskingClient(ListeningClient):
    """The part of the client that is about plans."""

    crash: Callable[[Exception], None]  # something is wrong with the proxy; the client's

    def plan(self, action: PlanStatement) -> None:
        """Does what the session asks; its answer is StatementPlanned."""
        if self.arriving:
            self.listener.tasks.start(self._wait_arrival(action), "wait for the place of a tenant")
            return
        planning, asked = self._question(action)
        now = self.services.clock()
        if not (flat(asked.text, self.services.options.plan_inline_bytes) and self.share.may_plan(now)):
            self.listener.tasks.start(self._wait_plan(action.ticket, planning, asked, None), "plan")
            return
        planned = self._account().plan(planning, asked)
        if self._unknown(planned):
            self.listener.tasks.start(self._wait_plan(action.ticket, planning, asked, planned), "look again")
            return
        self.session.handle(StatementPlanned(action.ticket, planned))

    def _question(self, action: PlanStatement) -> tuple[Planning, Question]:
        planning, context = self.planning, self.context
        if planning is None or context is None:
            raise InvalidAuthorization("not logged in")
        text = self.planned(action.text)
        return planning, Question(text, self._about(text, context), action.parameter_types, action.extended)

    def _about(self, text: bytes, context: PlanContext) -> PlanContext:
        return self.named(context).about(text, self.temporary)

    def _account(self) -> Account:
        return Account(self.session.budget, self.share, self.services.clock)

    async def _wait_arrival(self, action: PlanStatement) -> None:
        """The place is opened, and the statement planned there; or the session has none any more."""
        try:
            while self.arriving and self._awaited(action.ticket):
                there = await self.arrive()
                if self._awaited(action.ticket):
                    self.follow() if there else self.leave()
            if not self._awaited(action.ticket):
                return
            planned = self.lookup(action.text, action.parameter_types, action.extended)
            planning, asked = self._question(action)
        except Exception as problem:  # as data_received
            self.crash(problem)
            return
        if planned is None:
            await self._wait_plan(action.ticket, planning, asked, None)
        else:
            self.handle(StatementPlanned(action.ticket, planned))

    async def _wait_plan(self, ticket: int, planning: Planning, asked: Question, planned: Planned | None) -> None:
        account = self._account()
        try:
            if planned is None:
                planned = await account.wait_plan(planning, asked)
            if (
                self._unknown(planned)
                and await planning.refresh(asked.context.catalog_version)
                and self._looked(ticket)
            ):
                now, context = self.planning, self.context
                if now is not None and context is not None:
                    asked = asked._replace(context=self._about(asked.text, context))
                    planned = await account.wait_plan(now, asked)
        except Refusal as refusal:
            reject = Reject(StatementKind.OTHER, refusal.sqlstate, refusal.message, refusal.detail, refusal.hint)
            planned = Planned((reject,))
        except Exception as problem:  # as data_received
            self.crash(problem)
            return
        self.handle(StatementPlanned(ticket, planned))

    def _awaited(self, ticket: int) -> bool:
        """Does the session still wait for this plan? Who was canceled is at something else by now, which must not be
        moved under it.
        """
        return self.session.waiting is Waiting.PLAN and self.session.ticket == ticket

    def _looked(self, ticket: int) -> bool:
        """Does the session go by the newer picture, also in the middle of a transaction?"""
        try:
            return self._awaited(ticket) and self.bind()
        except CannotConnectNow:
            return False

    @staticmethod
    def _unknown(planned: Planned) -> bool:
        rejection = planned.rejection
        return rejection is not None and rejection.sqlstate in UNKNOWN_NAME
