"""A full storage refuses what adds, lets everything else through, and only tells where the limit only warns."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.quota.storage import Storage
from proxy.session.actions import Audit
from proxy.session.encode import fields_of
from proxy.session.session import ClientSession
from proxy.sql.plan import Effects, Planned, StatementKind
from tests.kit.builders import forward
from tests.session.conftest import Door, Talk, complete, kinds, query
from tests.session.test_extended import SYNC, bind, execute, parse

INSERT = b"INSERT INTO t"


@pytest.fixture
def full(session: ClientSession, door: Door) -> ClientSession:
    growing = forward(INSERT, Effects(writes=True, grows=True), StatementKind.INSERT)
    door.planned[INSERT] = Planned((growing,))
    session.storage = Storage(100)
    session.storage.counted("a", 200)
    return session


def told(data: bytes) -> dict[str, str]:
    assert data[:1] in (b"E", b"N")
    return fields_of(data[5 : 1 + int.from_bytes(data[1:5], "big")])


def test_what_adds_is_refused_and_the_rest_is_not(full: ClientSession, talk: Talk, door: Door) -> None:
    full.data(query(INSERT.decode()))
    fields = told(door.take())
    assert (fields["C"], fields["M"]) == ("53400", "quota exceeded: storage")
    assert fields["D"] == "The limit is 100 bytes, used 200 when they were counted last."
    assert "Delete rows" in fields["H"]
    (audit,) = door.asked(Audit)
    assert audit.decision.rules == ("quota.storage",)
    assert full.counters.quota_refusals == {"storage": 1}
    assert (full.counters.refused, full.counters.rejected) == (1, {})
    assert kinds(talk(query("DELETE FROM t"), complete("DELETE 1"))) == "CZ"
    assert kinds(talk(query("SELECT 1"), complete("SELECT 0"))) == "CZ"


def test_in_the_extended_protocol_the_execute_is(full: ClientSession, door: Door) -> None:
    (one,) = door.free
    full.data(parse(INSERT.decode()) + bind() + execute() + SYNC)
    assert execute() not in one.written
    assert full.due[-2].refusal is not None
    assert full.due[-2].refusal.sqlstate == "53400"
    assert door.asked(Audit)


def test_a_limit_that_only_warns_tells_once_a_second(full: ClientSession, talk: Talk, door: Door) -> None:
    full.storage.hold_to(100, True)
    times: list[Any] = [0.0]
    full.clock = lambda: times[0]
    assert kinds(talk(query(INSERT.decode()), complete("INSERT 0 1"))) == "NCZ"
    assert kinds(talk(query(INSERT.decode()), complete("INSERT 0 1"))) == "CZ"
    times[0] = 1.0
    assert kinds(talk(query(INSERT.decode()), complete("INSERT 0 1"))) == "NCZ"
    assert [one.decision.verdict for one in door.asked(Audit)] == ["warn", "warn"]
    assert (full.counters.quota_warnings, full.counters.quota_refusals) == ({"storage": 3}, {})


def test_with_room_nothing_is_asked(full: ClientSession, talk: Talk) -> None:
    full.storage.counted("a", 10)
    assert kinds(talk(query(INSERT.decode()), complete("INSERT 0 1"))) == "CZ"
