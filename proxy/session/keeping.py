"""Keeping: why a session's server connection stays with it between two transactions.

Each reason is counted for the metric. A connection that ever had one is cleaned when it goes back. Decision 0019.
"""

from __future__ import annotations

from proxy.backend.state import BackendState
from proxy.errors import InternalError
from proxy.session.counters import Counters
from proxy.session.parameters import PATH, Settings
from proxy.session.ports import Port
from proxy.sql.plan import FINAL, Forward, Temporary
from proxy.tenancy.policy import Grant

SESSION = "session"  # the reason in session mode


class Keeping:
    """The part of a Conversation that is about this."""

    state: BackendState | None
    grant: Grant | None
    settings: Settings
    counters: Counters
    pins: set[str]  # why the connection stays with the session when it is idle
    tables: tuple[Temporary, ...]  # as the port was told
    path: str | None  # the search path, likewise
    port: Port

    def backend(self) -> BackendState:
        """The state of the leased connection; only where there is one."""
        if self.state is None:
            raise InternalError("no connection is leased")
        return self.state

    def keep_own(self) -> None:
        """In session mode the connection stays, and with what DISCARD ALL leaves as it is."""
        if self.grant is not None and self.grant.pool_mode == "session":
            self.pin(SESSION)
        for reason in self.pins & FINAL:
            self.pin(reason)

    def leave_traces(self, plan: Forward) -> None:
        """Nothing undoes what some statements leave: nobody else gets the connection."""
        if plan.effects.taints or plan.effects.pins in FINAL:
            self.backend().taint(f"{plan.kind.value} leaves traces")

    def pin(self, reason: str) -> None:
        """The connection stays until the reason is gone or the session ends, and is cleaned when it goes back."""
        self.backend().pins.add(reason)
        if reason not in self.pins:
            self.pins.add(reason)
            self.counters.pinned[reason] = self.counters.pinned.get(reason, 0) + 1

    def unpin(self, *reasons: str) -> None:
        """These reasons are gone; with the last of them the lease ends like any other."""
        for reason in reasons:
            if reason in self.pins:
                self.pins.discard(reason)
                self.counters.pinned[reason] -= 1

    def settle_pins(self) -> None:
        """The connection stays for what the session has on it, once the transaction has ended."""
        for reason, there in self.settings.objects.reasons.items():
            if there:
                self.pin(reason)
            else:
                self.unpin(reason)

    def tell_tables(self) -> None:
        """Statements are planned with the temporary tables and the search path that the session has now."""
        known, current = self.settings.objects.known, self.settings.current
        path = current.get(PATH) if current else None
        if known != self.tables or path != self.path:
            self.tables, self.path = known, path
            self.port.know(known)
