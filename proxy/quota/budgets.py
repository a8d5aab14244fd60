"""Budgets: of every login that came in, by tenant; they outlive sessions and reloads, and so does what is owed.

A tenant or login under another name is another one. What no rules name any more is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from proxy.quota.allowance import Allowance, Meter, measures
from proxy.quota.budget import Budget, Used
from proxy.quota.rationing import LocalRationing, Rationing
from proxy.tenancy.policy import Limits


@dataclass(frozen=True, slots=True)
class QuotaStatistics:
    """One limit of one tenant; label login.NAME: of its logins together. used: the share of the one that used most;
    None where that is not counted.
    """

    tenant: str
    label: str
    used: float | None
    refusals: int
    warnings: int
    waits: int = 0


class Budgets:
    """Of one process."""

    def __init__(self, rationing: Rationing | None = None) -> None:
        self.rationing: Rationing = LocalRationing() if rationing is None else rationing
        self._tenants: dict[str, Allowance] = {}
        self._logins: dict[str, dict[str, Budget]] = {}

    def of(self, tenant: str, login: str, limits: Limits, own: Limits | None, used: Used, now: float) -> Budget | None:
        """The budget of a login under these limits; None where it has no limit that a budget holds."""
        allowance = self._tenants.get(tenant)
        if allowance is None and not any(measures(limits)) and (own is None or not any(measures(own))):
            return None  # and nothing is kept
        if allowance is None:
            allowance = self._tenants[tenant] = Allowance(tenant, "", self.rationing)
            self._logins[tenant] = {}
        changed = allowance.apply(limits)
        budgets = self._logins[tenant]
        budget = budgets.get(login)
        if budget is None:
            budget = budgets[login] = Budget(allowance, Allowance(tenant, login, self.rationing), used, now)
        if budget.own.apply(own) or changed:
            for one in budgets.values():
                one.compose()
        return None if budget.empty else budget

    def forget(self, tenants: Iterable[str], named: Callable[[str, str], bool]) -> None:
        """Other rules are in force: the tenants that they have, and whether a login is still such a tenant's. What they
        say of them is heard when its sessions move to them.
        """
        gone = self._tenants.keys() - set(tenants)
        for tenant in gone:
            self._tenants.pop(tenant).apply(None)
            for budget in self._logins.pop(tenant).values():
                budget.own.apply(None)
        for tenant, budgets in self._logins.items():
            for login in [one for one in budgets if not named(tenant, one)]:
                budgets.pop(login).own.apply(None)

    def statistics(self, now: float) -> tuple[QuotaStatistics, ...]:
        """Every limit that holds, or was hit."""
        found: dict[tuple[str, str], QuotaStatistics] = {}
        for budgets in self._logins.values():
            for budget in budgets.values():
                if budget.watches:
                    budget.settle(now)
        for meter in self._meters():
            tenant, label = meter.key[0], meter.label
            before = found.get((tenant, label), QuotaStatistics(tenant, label, 0.0, 0, 0))
            found[tenant, label] = QuotaStatistics(
                tenant,
                label,
                max(before.used or 0.0, meter.used(now)),
                before.refusals + meter.refusals,
                before.warnings + meter.warnings,
                before.waits + meter.waited,
            )
        return tuple(found.values())

    def _meters(self) -> Iterator[Meter]:
        for tenant, allowance in self._tenants.items():
            yield from allowance.meters.values()
            for budget in self._logins[tenant].values():
                yield from budget.own.meters.values()
