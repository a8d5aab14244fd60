"""Statistics: lengths of the ledger's lists, as of then."""

from __future__ import annotations

from proxy.pool.ledger import Ledger
from proxy.pool.share import Open
from proxy.pool.statistics import Counters, snapshot
from proxy.tenancy.policy import Server

HERE = Server("127.0.0.1", 5432, "shared", "app")


def opened(ledger: Ledger[str, str], tenant: str, waiters: str) -> None:
    """Everybody of `waiters` asks, and what is opened for them succeeds."""
    share = ledger.share((HERE, "row"), tenant, frozenset())
    steps = [step for waiter in waiters for step in ledger.wait(share, f"{tenant} {waiter}")]
    for step in steps:
        if isinstance(step, Open):
            ledger.opened(step.opening, f"{tenant} connection {len(ledger.places)} {id(step.opening)}")


def test_every_share_tells_its_lists_and_the_sums_agree() -> None:
    ledger: Ledger[str, str] = Ledger(3, lambda: 0.0)
    opened(ledger, "acme", "ab")
    opened(ledger, "globex", "abc")
    told = snapshot(ledger, Counters())
    assert [(one.server, one.tenant, one.leased, one.waiting) for one in told.shares] == [
        (HERE, "acme", 2, 0),
        (HERE, "globex", 1, 2),
    ]
    assert (told.idle, told.leased, told.waiting, told.connections, told.ceiling) == (0, 3, 2, 3, 3)


def test_a_connection_is_counted_from_the_moment_it_is_opened_until_it_is_gone() -> None:
    ledger: Ledger[str, str] = Ledger(3, lambda: 0.0)
    (step,) = ledger.wait(ledger.share((HERE, "row"), "acme", frozenset()), "a")
    assert isinstance(step, Open)
    told = snapshot(ledger, Counters())
    assert (told.connections, told.shares[0].opening, told.leased) == (1, 1, 0)
    ledger.opened(step.opening, "connection")
    ledger.doom("connection", cancel=True)
    told = snapshot(ledger, Counters())
    assert (told.connections, told.shares[0].cancelling, told.shares[0].opening) == (1, 1, 0)
    ledger.closed("connection")
    assert snapshot(ledger, Counters()).connections == 0


def test_a_snapshot_does_not_move_with_what_it_shows() -> None:
    ledger: Ledger[str, str] = Ledger(3, lambda: 0.0)
    counters = Counters(opened=1)
    before = snapshot(ledger, counters)
    counters.opened = 2
    opened(ledger, "acme", "a")
    assert (before.counters.opened, before.connections, before.shares) == (1, 0, ())
