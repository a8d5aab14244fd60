"""The books of a running proxy against the server's own: who holds what, and whether anything was left behind.

After any trouble the same must hold: no lease without a client, and as many connections at the server as the proxy
knows.
"""

from __future__ import annotations

import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from tests.kit.proxy import Proxy


@dataclass(frozen=True)
class Books:
    """One proxy, and the database at which its role `role` connects. dsn: of a superuser there."""

    proxy: Proxy
    dsn: str
    role: str = "app"

    def pool_states(self) -> Counter[str]:
        """Server connections by state, over all tenants, as /metrics has them."""
        states: Counter[str] = Counter()
        for labels, value in self.metric("partywall_pool_connections"):
            found = re.search(r'state="(\w+)"', labels)
            assert found is not None
            states[found.group(1)] += int(value)
        return states

    def clients(self) -> int:
        """Open client connections of all tenants."""
        return int(sum(value for _, value in self.metric("partywall_client_connections")))

    def pinned(self) -> float:
        """Sessions that keep their connection, for any reason."""
        return sum(value for _, value in self.metric("partywall_pinned_sessions"))

    def metric(self, name: str) -> list[tuple[str, float]]:
        """Labels and value of each line of it."""
        found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", self.proxy.metrics(), re.MULTILINE)
        return [(labels, float(value)) for labels, value in found]

    def server_count(self) -> int:
        """The proxy's connections as the server counts them, without those that only read the catalog."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND datname = current_database()"
                " AND application_name NOT LIKE '%%catalog%%' AND backend_type = 'client backend'",
                (self.role,),
            ).fetchone()
        assert row is not None
        return int(row[0])

    def settled(self, what: str, seconds: float = 20.0) -> None:
        """Nothing is leased, and the books agree; AssertionError with `what` when that does not come about."""
        assert eventually(lambda: not self.pool_states()["leased"], seconds), f"{what}: leased: {self.pool_states()}"
        agreed = eventually(lambda: self.held() == self.server_count(), seconds)
        assert agreed, f"{what}: {self.pool_states()}, but the server has {self.server_count()}"

    def held(self) -> int:
        """Server connections, idle and leased."""
        states = self.pool_states()
        return states["idle"] + states["leased"]


def eventually(what: Callable[[], object], seconds: float) -> object:
    """What `what` returns once it is true; its last value when time is up."""
    deadline = time.monotonic() + seconds
    while not (value := what()) and time.monotonic() < deadline:
        time.sleep(0.01)  # a poll of another process, bounded by the deadline
    return value


def listens(port: int) -> bool:
    """Does anybody on this machine take connections there?"""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
