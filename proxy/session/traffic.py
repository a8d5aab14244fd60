"""Traffic: the counters of every login that ever came in, by tenant. They outlive sessions and reloads, but
not the tenant.

A login is asked for together with its tenant, for the rules may give its name to another one later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from proxy.session.counters import Counters, TrafficStatistics


class Traffic:
    """Counters by tenant and login; each made when it is asked for first."""

    def __init__(self) -> None:
        self._tenants: dict[str, dict[str, Counters]] = {}
        self._every: list[tuple[str, str, Counters]] = []

    def of(self, tenant: str, login: str) -> Counters:
        """The login's."""
        logins = self._tenants.get(tenant)
        if logins is None:
            logins = self._tenants[tenant] = {}
        found = logins.get(login)
        if found is None:
            found = logins[login] = Counters()
            self._every.append((tenant, login, found))
        return found

    def connections(self, tenant: str) -> int:
        """Open now, of all its logins."""
        return sum(one.connections for one in self._tenants.get(tenant, {}).values())

    def idle(self, tenant: str) -> dict[str, Counters] | None:
        """Its logins' counters, while none of them has a session; None while one has."""
        logins = self._tenants.get(tenant, {})
        return None if any(one.connections for one in logins.values()) else logins

    def forget(self, tenant: str) -> None:
        """Nothing of it is left."""
        if self._tenants.pop(tenant, None) is not None:
            self._every = [one for one in self._every if one[0] != tenant]

    def tenants(self) -> AbstractSet[str]:
        """Every one that came in."""
        return self._tenants.keys()

    def every(self) -> Sequence[tuple[str, str, Counters]]:
        """Tenant, login and counters."""
        return self._every

    def each(self) -> Iterator[tuple[str, TrafficStatistics]]:
        """Every tenant there is now, and what its logins did together until its turn came."""
        for tenant, logins in list(self._tenants.items()):
            those = list(logins.values())
            total = those[0]
            if len(those) > 1:
                total = Counters()
                for one in those:
                    total.add(one)
            yield tenant, total.statistics()

    def unmetered(self) -> Iterator[tuple[str, str, int, int]]:
        """Tenant, limit, refusals and warnings, of limits that no meter counts."""
        for tenant, logins in list(self._tenants.items()):
            found: dict[str, list[int]] = {}
            for one in logins.values():
                for place, counts in enumerate((one.quota_refusals, one.quota_warnings)):
                    for name, count in counts.items():
                        found.setdefault(name, [0, 0])[place] += count
            for name, (refusals, warnings) in found.items():
                yield tenant, name, refusals, warnings

    def statistics(self) -> dict[str, TrafficStatistics]:
        """The same at once."""
        return dict(self.each())
