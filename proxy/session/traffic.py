"""Traffic: the counters of every login that ever came in, by tenant. They outlive sessions and reloads.

A login is asked for together with its tenant, for the rules may give its name to another one later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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

    def every(self) -> Sequence[tuple[str, str, Counters]]:
        """Tenant, login and counters; new ones come at the end."""
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

    def statistics(self) -> dict[str, TrafficStatistics]:
        """The same at once."""
        return dict(self.each())
