"""The short way says and does what the general way does, step by step, however traffic is mixed, cut, interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from proxy.errors import AdminShutdown
from proxy.session.due import PARSE
from proxy.session.events import BackendLost, CancelFinished, CancelRequested, Drain, Event, FrontendLost, Terminate
from proxy.session.parameters import Settings
from proxy.session.session import ClientSession
from proxy.session.short import unfold
from proxy.sql.plan import Forward, Planned, Template
from proxy.wire.fields import message
from tests.kit.builders import plan_text
from tests.kit.scripted import ROW, ScriptedServer
from tests.session.conftest import Door, Talk, complete, link, log_in, query
from tests.session.test_extended import (
    BLOCK,
    BOUND,
    DONE,
    FLUSH,
    IDLE,
    NO_DATA,
    PARSED,
    SYNC,
    bind,
    close,
    describe,
    execute,
    parse,
)

ALL = 1_000_000
TAIL = execute() + SYNC


class TwoConnections(Door):
    """A Port with two connections that take turns, each with a server behind it; every text is in the plan cache."""

    def __init__(self) -> None:
        super().__init__(free=[link(), link()])
        self.links = tuple(self.free)
        self.servers = tuple(ScriptedServer() for _ in self.links)
        self.sent = [b"" for _ in self.links]
        self.settings: Settings | None = None  # of the session

    def lookup(self, text: bytes, parameter_types: tuple[int, ...] = (), extended: bool = False) -> Planned | None:
        planned = plan_text(text)._replace(cache="l1")
        if self.settings is None or "a" not in self.settings.current or not isinstance(planned.plans[0], Forward):
            return planned
        plan = replace(planned.plans[0], template=Template((text + b" -- a",)))  # settings decide what names mean
        return planned._replace(plans=(plan, *planned.plans[1:]))

    def release(self, lease: Any, destroy: bool, cancel: bool) -> None:
        self.released.append((lease.connection, destroy, cancel))
        if not destroy:
            self.free.insert(0, lease.connection)


class General(ClientSession):
    """A session without the short way."""

    def data(self, data: bytes) -> None:
        self.counters.bytes_in += len(data)
        self.frontend.feed(data)
        self.proceed()


class Side:
    """One session with its servers."""

    def __init__(self, kind: type[ClientSession]) -> None:
        self.door = TwoConnections()
        self.session = ClientSession(self.door, process_id=42, secret_key=b"key!", clock=lambda: 0.0)
        log_in(self.session, self.door)
        self.session.__class__ = kind
        self.door.settings = self.session.settings
        self.short = 0  # reads that went the short way
        self.replies = b""  # the server's that have not been read

    def send(self, data: bytes) -> None:
        """Bytes of the client's."""
        if data:
            self.session.data(data)
            self.short += self.session.under is not None
            self._pass_on()

    def read(self, size: int) -> None:
        """So many of the bytes that the server has said."""
        data, self.replies = self.replies[:size], self.replies[size:]
        if data:
            self.session.backend_data(data)
            self._pass_on()

    def handle(self, what: Event | int) -> None:
        """An event, or the number of new rules."""
        if isinstance(what, int):
            self.session.epoch = what
        else:
            self.session.handle(what)
        self._pass_on()

    def _pass_on(self) -> None:
        door = self.door
        for at, one in enumerate(door.links):
            sent, one.written = one.written, b""
            door.sent[at] += sent
            replied = door.servers[at].feed(sent)
            if self.session.link is one:
                self.replies += replied
        if self.session.lease is None:
            self.replies = b""

    @property
    def seen(self) -> tuple[object, ...]:
        """What client, servers, pool and operator have seen so far."""
        door = self.door
        released = [(door.links.index(one), destroy, cancel) for one, destroy, cancel in door.released]
        return door.written, door.sent, released, door.actions, self.session.counters.statistics(), self.replies

    @property
    def kept(self) -> tuple[object, ...]:
        """What the session and its connections know."""
        s = self.session
        names = [one.name if one.kind is PARSE else None for one in s.due]  # of others it is for the words of errors
        due = [(one.kind, one.forward, one.plan, one.plans, one.text, one.previous) for one in s.due], names
        statements = {name: (one.key, one.text, one.plan, one.epoch) for name, one in s.statements.items()}
        portals = {name: one.statement.key for name, one in s.portals.items()}
        flags = (s.phase, s.waiting, s.message, s.open, s.skipping, s.failed, s.held, s.turns, s.lease is None)
        settings = s.settings
        base = settings.base if settings.state is not None else None  # made anew when a connection is leased
        own = (settings.current, base, settings.savepoints, settings.state is None, s.known)
        servers = [
            (one.state.status, one.state.unnamed, dict(one.state.prepared), one.state.settings, one.state.tainted)
            for one in self.door.links
        ]
        return due, statements, portals, flags, own, s.pins, s.fenced, s.up, s.out, servers


TEXTS = (
    "SELECT 1", "SELECT rows3", "SELECT rows1 nodata", "UPDATE", "SELECT rows2 fails", "fails", "unparsable",
    "SELECT rows1 notes", "SELECT rows1 tells", "BEGIN", "BEGIN", "COMMIT", "ROLLBACK", "SET a TO 1", "RESET ALL",
    "KEY 1", "KEY 2", "SELECT FROM forbidden", "LOCK t", "NOTIFY c", "", "UPDATE; SELECT rows1",
    "SELECT pg_advisory_lock", "SELECT rows1 stales", "SELECT rows2 stales",
)  # fmt: skip
STRAY = (SYNC, FLUSH, describe("P"), execute(), close("P"), bind("a"), bind("b", "p") + execute("p", 1) + FLUSH, b"?")
EVENTS: tuple[Event | int, ...] = (
    CancelRequested(), CancelFinished(), 1, 2, Drain(), FrontendLost(), BackendLost("cut"),
    Terminate(AdminShutdown("enough")),
)  # fmt: skip
SEEDS = 500


def typed(text: str, types: tuple[int, ...]) -> bytes:
    """Parse of the unnamed statement with parameter types."""
    oids = b"".join(one.to_bytes(4, "big") for one in types)
    return message(80, b"\0" + text.encode() + b"\0" + len(types).to_bytes(2, "big") + oids)


def ask(dice: Random) -> bytes:
    """Something that a client sends, usually a whole batch."""
    text, name = dice.choice(TEXTS[:4] if dice.random() < 0.5 else TEXTS), dice.choice(("", "a", "b"))
    what = dice.choice((b"", describe("P"), describe("P"), describe("S")))
    kind = dice.random()
    if kind < 0.2:
        return query(text)
    if kind < 0.4:
        return parse(text) + bind(value=b"x") + what + TAIL
    if kind < 0.5:
        return typed(text, (23, 25)) + bind() + what + TAIL
    if kind < 0.75:
        return bind(name, value=b"y") + what + TAIL
    if kind < 0.95:
        return close("S", name) + parse(text, name) + SYNC
    return dice.choice(STRAY)


def steps(dice: Random) -> Iterator[tuple[bytes, list[int], list[int]] | Event | int]:
    """What happens: an event, or bytes with the places where they are cut, and how much is read of the reply."""
    for _ in range(dice.randrange(3, 16)):
        if dice.random() < 0.04:
            yield dice.choice(EVENTS)
            continue
        cuts = [dice.randrange(60) for _ in range(dice.randrange(1, 3))] if dice.random() < 0.1 else []
        reads = [ALL] if dice.random() < 0.85 else [dice.randrange(60) for _ in range(dice.randrange(3))]
        yield ask(dice), cuts, reads
    yield b"", [], [ALL] * 9


def test_both_ways_are_one(effort: int) -> None:
    went = 0
    for seed in range(SEEDS * effort):
        went += compared(list(steps(Random(seed))))
    assert went > SEEDS * effort


def compared(steps: list[tuple[bytes, list[int], list[int]] | Event | int]) -> int:
    """Takes both through the steps; how many reads went the short way."""
    quick, general = sides = Side(ClientSession), Side(General)

    def same() -> None:
        assert quick.seen == general.seen
        if quick.session.under is None:
            assert quick.kept == general.kept

    for step in steps:
        if not isinstance(step, tuple):
            for side in sides:
                side.handle(step)
            same()
            continue
        data, cuts, reads = step
        for cut in [*cuts, len(data)]:
            piece, data = data[:cut], data[cut:]
            for side in sides:
                side.send(piece)
            same()
        for size in reads:
            for side in sides:
                side.read(size)
            same()
    unfold(quick.session)
    assert quick.kept == general.kept
    assert general.short == 0
    return quick.short


MINE = parse("SELECT rows1", "mine") + SYNC


@pytest.mark.parametrize(
    "data",
    [
        query("SELECT 1"), parse("SELECT 1") + bind() + TAIL, typed("SELECT 1", (23,)) + bind() + TAIL,
        parse("SELECT 1") + bind(value=b"x") + describe("P") + TAIL, bind("mine") + TAIL,
        bind("mine", value=b"x") + describe("P") + TAIL,
    ],
)  # fmt: skip
def test_what_drivers_send_most_goes_the_short_way(talk: Talk, session: ClientSession, door: Door, data: bytes) -> None:
    talk(MINE, PARSED + IDLE)
    session.data(data)
    assert session.under is not None
    assert session.lease is not None
    session.backend_data(PARSED + PARSED)  # no reply to that
    assert door.released[-1][1]


@pytest.mark.parametrize(
    "data",
    [
        query("BEGIN"), query("SELECT 1; SELECT 2"), query("SELECT 1")[:-1], query("SELECT 1") + b"?", query("") + SYNC,
        parse("SELECT 1") + bind() + execute(rows=1) + SYNC, parse("SELECT 1") + bind(portal="p") + execute("p") + SYNC,
        parse("SELECT 1", "a") + bind("a") + TAIL, parse("SELECT 1") + bind("mine") + TAIL, bind("nobody") + TAIL,
        parse("SELECT 1") + bind() + describe("S") + TAIL, parse("SELECT 1") + bind() + TAIL + SYNC, bind() + TAIL,
        parse("SELECT 1")[:-2] + b"\0\1" + bind() + TAIL, parse("SELECT 1") + describe("P") + TAIL, TAIL, b"B", b"P",
        message(66, b"\0mine") + TAIL, message(66, b"") + TAIL, b"P" + bytes(30) + TAIL, b"P\xff\xff\xff\xff" + TAIL,
    ],
)  # fmt: skip
def test_anything_else_does_not(talk: Talk, session: ClientSession, data: bytes) -> None:
    talk(MINE, PARSED + IDLE)
    session.data(data)
    assert session.under is None


def test_the_same_parse_is_not_looked_up_again_until_the_rules_change(
    talk: Talk, session: ClientSession, door: Door
) -> None:
    (one,) = door.free
    batch, reply = parse("SELECT 1") + bind() + TAIL, PARSED + BOUND + DONE + IDLE
    talk(batch, reply)
    first = session.statements[b""]
    talk(batch, reply)
    assert session.statements[b""] is first
    assert one.written == batch * 2
    session.epoch = "others"
    talk(batch, reply)
    assert session.statements[b""] is not first


def test_a_connection_that_has_other_settings_is_brought_in_line_first(talk: Talk, door: Door) -> None:
    other = door.renew()
    other.state.settings = {"work_mem": "'1GB'"}
    talk(parse("SELECT 1") + bind() + TAIL, b"")
    assert other.written.startswith(query('RESET "work_mem"'))


def test_a_reply_in_pieces_and_a_long_one_are_relayed_as_they_come(talk: Talk, session: ClientSession) -> None:
    reply = BOUND + NO_DATA + ROW * 3 + DONE + IDLE
    talk(MINE, PARSED + IDLE)
    told = talk(bind("mine") + describe("P") + TAIL, reply[:20])
    assert reply.startswith(told)
    assert session.due
    assert told + talk(b"", reply[20:]) == reply
    assert session.lease is None


def test_in_a_block_the_connection_stays_and_the_portal_is_known(
    talk: Talk, session: ClientSession, door: Door
) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(parse("SELECT 1") + bind() + TAIL, PARSED + BOUND + DONE + BLOCK)
    assert session.in_transaction
    assert list(session.portals) == [b""]
    assert door.released == []


def test_a_batch_is_timed_from_its_own_begin() -> None:
    now = 0.0
    door = Door(free=[link()])
    session = ClientSession(door, process_id=42, secret_key=b"key!", clock=lambda: now)
    log_in(session, door)
    for batch in (parse("SELECT 1") + bind() + TAIL, parse("SELECT 1", "a") + bind("a") + TAIL):
        now += 1000
        session.data(batch)
        now += 100
        session.backend_data(PARSED + BOUND + DONE + IDLE)
    assert session.counters.statistics().seconds == 200.0


def test_the_same_parse_is_looked_up_again_under_other_settings() -> None:
    for kind in (ClientSession, General):
        side = Side(kind)
        del side.door.free[1]
        batch = parse("SELECT 1") + bind() + TAIL
        for data in (parse("SET a TO 1", "set") + SYNC, batch, bind("set") + TAIL, batch):
            side.send(data)
            side.read(ALL)
        sent = b"".join(side.door.sent)
        assert sent.count(b"SELECT 1\0") == sent.count(b"SELECT 1 -- a\0") == 1


@pytest.mark.parametrize("cut", [5, 6, 400])
def test_what_is_thrown_away_of_a_message_that_is_too_large_is_no_message(
    session: ClientSession, door: Door, cut: int
) -> None:
    session.frontend.texts = 300
    inside = query("DELETE")
    large = query("x" * 1000 + inside.decode() * 20)
    session.data(large[:cut])
    for _ in range(cut, len(large) - len(inside), len(inside)):
        session.data(inside)  # takes the place of as many bytes
    assert door.free[0].written == b""
    assert session.lease is None
