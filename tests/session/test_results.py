"""Results that are cut off: the client sees what a server would say that fails the statement there by itself."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from proxy.backend.state import IDLE
from proxy.session.actions import Audit, ResultStopped, StopResult
from proxy.session.encode import fields_of
from proxy.session.events import BackendLost, CancelFinished, FrontendLost, ResultOverdue
from proxy.session.session import ClientSession
from proxy.tenancy.policy import Limits
from proxy.wire.fields import message
from tests.kit.scripted import DESCRIPTION, ROW, Failure, ScriptedServer
from tests.session.conftest import Door, kinds, link, log_in, query
from tests.session.test_extended import FLUSH, SYNC, bind, close, describe, execute, parse

LIMIT = 3


class StoppingServer(ScriptedServer):
    """Fails a SELECT with more rows than `most`, after that many of them, with `code`; the proxy's own failures are
    none of the client's.
    """

    def __init__(self, most: int, code: str) -> None:
        super().__init__()
        self.most = most
        self.code = code
        self.before = b""
        self.simple = False

    def _query(self, text: str) -> bytes:
        self.simple = True
        out = super()._query(text)
        self.simple = False
        return out

    def _run(self, text: str) -> bytes:
        if text.startswith("SELECT") and self._rows(text) > self.most:
            self._alive(text)
            self.before = (DESCRIPTION if self.simple else b"") + ROW * self.most
            raise Failure(self.code)
        return super()._run(text)

    def _fail(self, failure: Failure) -> bytes:
        before, self.before = self.before, b""
        return before + super()._fail(failure)


class Side:
    """A session with a limit and one server that is stopped after `most` rows, or that has completed by then."""

    def __init__(self, most: int = 1000, limits: Limits | None = None) -> None:
        self.door = Door(free=[link()])
        (self.link,) = self.door.free
        self.server = StoppingServer(most, "57014")
        self.session = ClientSession(self.door, process_id=42, secret_key=b"key!", clock=lambda: 0.0)
        log_in(self.session, self.door)
        self.door.take()
        self.session.result.limit(limits or Limits(result_rows=LIMIT))
        self.replies = b""
        self.stops = 0  # cancel requests under way

    def send(self, data: bytes) -> None:
        self.session.data(data)
        self._pass_on()

    def read(self, size: int) -> None:
        data, self.replies = self.replies[:size], self.replies[size:]
        if data:
            self.session.backend_data(data)
        self._pass_on()

    def finish_stops(self) -> None:
        stops, self.stops = self.stops + len(self.door.asked(StopResult)), 0
        for _ in range(stops):
            self.session.handle(CancelFinished())
        self._pass_on()

    def settle(self) -> None:
        """Everything that was said is read."""
        while self.replies or self.stops:
            self.read(1 << 20)
            self.finish_stops()

    def _pass_on(self) -> None:
        sent, self.link.written = self.link.written, b""
        self.replies += self.server.feed(sent)
        self.stops += len(self.door.asked(StopResult))


def story(data: bytes) -> list[tuple[str, bytes]]:
    """Messages, errors by their SQLSTATE."""
    found = []
    while data:
        end = 1 + int.from_bytes(data[1:5], "big")
        tag, body, data = chr(data[0]), data[5:end], data[end:]
        found.append((tag, fields_of(body)["C"].encode() if tag == "E" else body))
    return found


READS = ("SELECT rows1", "SELECT rows3", "SELECT rows4", "SELECT rows9", "SELECT 1")
NAMES = ("", "a", "b")


def items(dice: Random, block: bool) -> Iterator[bytes]:
    """Messages of a pipeline, before its Sync."""
    if not block and dice.random() < 0.3:
        yield parse("BEGIN") + bind() + execute() + parse("SELECT 1")
    for _ in range(dice.randrange(1, 6)):
        name, kind = dice.choice(NAMES), dice.random()
        if block and dice.random() < 0.3:
            yield parse("UPDATE") + bind() + execute() + parse("SELECT 1")
        if kind < 0.5:
            yield parse(dice.choice(READS)) + bind() + dice.choice((b"", describe("P"))) + execute()
        elif kind < 0.65:
            yield parse(dice.choice(READS), name) if dice.random() < 0.8 else parse("SELECT unparsable", "c")
        elif kind < 0.75:
            yield bind(name) + execute(rows=dice.choice((0, 0, 2, 3)))
        elif kind < 0.85:
            yield close("S", name)
        elif kind < 0.95:
            yield bind(name, "p") + execute("p", 2) + execute("p")
        else:
            yield FLUSH


def turns(dice: Random) -> Iterator[bytes]:
    """What a client sends before it waits for a ReadyForQuery; nothing: a pipeline."""
    for _ in range(dice.randrange(2, 9)):
        kind = dice.random()
        if kind < 0.15:
            yield query(dice.choice(("BEGIN", "COMMIT", "ROLLBACK")))
        elif kind < 0.4:
            texts = [dice.choice(READS) for _ in range(dice.choice((1, 1, 2, 3)))]
            yield query("; ".join(texts))
        else:
            yield b""


@pytest.mark.parametrize("stopped", [True, False])
def test_a_cut_is_what_a_server_that_fails_there_would_say(effort: int, stopped: bool) -> None:
    cuts = 0
    for seed in range(600 * effort):
        dice = Random(seed)
        side = Side(dice.randrange(LIMIT + 1, 9) if stopped else 1000)
        model = StoppingServer(LIMIT, "53400")
        for turn in turns(dice):
            data = turn or b"".join(items(dice, model.status != "I")) + SYNC
            if model.status == "E":
                data = query(dice.choice(("ROLLBACK", "SELECT 1")))
            told = model.feed(data.replace(b"; ", b";\n") if data[:1] == b"Q" else data)
            for piece in pieces(dice, data):
                side.send(piece)
                for _ in range(dice.randrange(3)):
                    side.read(dice.randrange(1, 60))
                if dice.random() < 0.5:
                    side.finish_stops()
            side.settle()
            seen = side.door.take()
            assert story(seen) == story(told), f"seed {seed}: {data!r}"
            cuts += kinds(seen).count("E")
        side.send(query("ROLLBACK"))
        side.settle()
        assert side.session.lease is None, f"seed {seed}"
        assert not any(destroyed for _, destroyed, _ in side.door.released), f"seed {seed}"
    assert cuts > 300 * effort


def pieces(dice: Random, data: bytes) -> Iterator[bytes]:
    while data:
        size = len(data) if dice.random() < 0.7 else dice.randrange(1, len(data) + 1)
        yield data[:size]
        data = data[size:]


PIPELINES = (
    (query("SELECT rows5"),),
    (query("SELECT rows3; SELECT rows9; SELECT rows1"),),
    (query("BEGIN"), query("SELECT rows5"), query("ROLLBACK")),
    (query("BEGIN; SELECT rows5"), query("ROLLBACK")),
    (parse("SELECT rows5") + bind() + describe("P") + execute() + SYNC,),
    (parse("SELECT rows5", "a") + bind("a", "p") + execute("p", 3) + execute("p") + parse("SELECT 1", "b") + SYNC,),
    (query("BEGIN"), parse("SELECT rows4", "a") + bind("a") + execute() + parse("UPDATE") + bind() + execute() + SYNC),
    (parse("SELECT rows9") + bind() + execute() + FLUSH, SYNC),
)


@pytest.mark.parametrize("number", range(len(PIPELINES)))
def test_wherever_the_servers_bytes_are_cut_the_client_reads_the_same(number: int) -> None:
    model = StoppingServer(LIMIT, "53400")
    told = b"".join(model.feed(one.replace(b"; ", b";\n")) for one in PIPELINES[number])
    assert kinds(told).count("E") == 1
    for stopped in (1000, 5, 4):
        for cut in range(1, 200):
            side = Side(stopped)
            for one in PIPELINES[number]:
                side.send(one)
                side.read(cut)
                if cut % 2:
                    side.finish_stops()
                side.settle()
            assert story(side.door.take()) == story(told)
            assert side.session.result.cut is None
            side.send(query("ROLLBACK"))
            side.settle()
            side.door.take()
            side.send(query("SELECT rows2"))
            side.settle()
            assert kinds(side.door.take()) == "TDDCZ"


@pytest.mark.parametrize(
    ("before", "data"),
    [
        (b"", parse("UPDATE") + bind() + execute() + parse("SELECT rows5") + bind() + execute() + SYNC),
        (b"", parse("SELECT rows5") + bind() + execute() + parse("UPDATE") + bind() + execute() + SYNC),
        (b"", query("UPDATE; SELECT rows5")),
        (b"", query("SELECT rows5; UPDATE")),
        (b"", query("SELECT rows5; BEGIN")),
        (b"", parse("SELECT rows5") + bind() + execute() + parse("BEGIN") + bind() + execute() + SYNC),
        (b"", parse("RESET ALL") + bind() + execute() + parse("SELECT rows5") + bind() + execute() + SYNC),
        (b"", parse("SELECT rows5") + bind() + execute() + parse("RESET ALL") + bind() + execute() + SYNC),
        (query("BEGIN"), parse("SELECT rows5") + bind() + execute() + parse("COMMIT") + bind() + execute() + SYNC),
        (query("BEGIN"), query("SELECT rows5; SAVEPOINT a")),
        (query("BEGIN"), query("SELECT rows5; SELECT pg_advisory_lock")),
        (b"", query("UPDATE rows5")),
        (query("BEGIN"), query("UPDATE rows5")),
    ],
)
def test_what_may_leave_more_than_the_client_would_believe_is_not_cut(before: bytes, data: bytes) -> None:
    side = Side()
    for one in (before, data):
        if one:
            side.door.take()
            side.send(one)
            side.settle()
    seen = kinds(side.door.take())
    assert "E" not in seen
    assert seen.count("D") == 5


def test_a_pipeline_is_what_is_between_two_syncs_also_when_its_replies_were_read_before_the_end() -> None:
    side = Side()
    side.send(parse("UPDATE") + bind() + execute() + FLUSH)
    side.settle()
    side.send(parse("SELECT rows5") + bind() + execute() + SYNC)
    side.settle()
    assert "E" not in kinds(side.door.take())
    side.send(parse("SELECT rows5") + bind() + execute() + SYNC)
    side.settle()
    assert kinds(side.door.take()) == "12DDDEZ"


def test_a_row_that_would_pass_the_limit_of_bytes_is_not_begun() -> None:
    for most in range(len(ROW) * 4 + 2):
        side = Side(limits=Limits(result_bytes=most))
        side.send(query("SELECT rows4"))
        side.settle()
        seen = side.door.take()
        whole = most // len(ROW)
        assert kinds(seen) == ("TDDDDCZ" if whole >= 4 else "T" + "D" * whole + "EZ")
        if whole < 4:
            fields = fields_of(seen[seen.index(b"E\0") + 5 : -6])
            assert fields["M"] == "quota exceeded: result bytes"
            assert fields["D"] == f"The limit is {most} bytes; {whole * len(ROW)} were sent, and there are more."


def test_a_refusal_says_the_limit_what_was_sent_and_the_way_out() -> None:
    side = Side()
    side.send(query("SELECT rows5"))
    side.settle()
    seen = side.door.take()
    fields = fields_of(seen[seen.index(b"E\0") + 5 : -6])
    assert (fields["S"], fields["C"], fields["M"]) == ("ERROR", "53400", "quota exceeded: result rows")
    assert fields["D"] == "The limit is 3 rows; 3 were sent, and there are more."
    assert "LIMIT" in fields["H"]
    assert "cursor" in fields["H"]
    (audited,) = side.door.asked(Audit)
    assert audited.decision.sqlstate == "53400"
    assert side.session.rows == side.session.counters.rows == 3


def test_a_portal_that_is_read_in_pieces_is_as_many_results() -> None:
    side = Side()
    side.send(parse("SELECT rows9") + bind(portal="p") + execute("p", 3) * 3 + SYNC)
    side.settle()
    assert kinds(side.door.take()) == "12DDDsDDDsDDDsZ"
    side.send(parse("SELECT rows9") + bind(portal="p") + execute("p", 4) + SYNC)
    side.settle()
    assert kinds(side.door.take()) == "12DDDEZ"


def test_a_limit_that_only_warns_tells_once_a_second_and_cuts_nothing() -> None:
    side = Side(limits=Limits(result_rows=2, warn=frozenset({"result_rows"})))
    times = [0.0]
    side.session.clock = lambda: times[0]
    for cut in (1000, 30, 3):
        side.send(query("SELECT rows5"))
        while side.replies:
            side.read(cut)
        seen = side.door.take()
        assert kinds(seen) == "TDDNDDDCZ"
        assert b"SWARNING\0VWARNING\0C01000\0Mquota exceeded: result rows\0" in seen
        side.send(query("SELECT rows5"))
        side.settle()
        assert kinds(side.door.take()) == "TDDDDDCZ"
        times[0] += 1.0
    assert side.stops == 0
    assert [one.decision.verdict for one in side.door.asked(Audit)] == ["warn"] * 3


def test_each_result_that_is_too_large_is_cut_off() -> None:
    for stopped in (5, 1000):
        side = Side(stopped)
        for cut in (1, 1000, 70, 1000, 1000):
            side.send(query("SELECT rows9"))
            side.read(cut)
            side.settle()
            assert kinds(side.door.take()) == "TDDDEZ"


def test_so_is_one_that_was_asked_for_while_the_one_before_it_was_being_stopped() -> None:
    side = Side(5)
    side.send(query("SELECT rows9"))
    side.read(70)
    side.read(1000)
    side.send(query("SELECT rows9"))
    side.settle()
    assert kinds(side.door.take()) == "TDDDEZTDDDEZ"
    assert len(side.door.released) == 1


def test_without_a_limit_nothing_is_held_back() -> None:
    side = Side(limits=Limits())
    side.send(query("SELECT rows9") + query("SELECT rows8"))
    assert side.server.feed(b"") == b""
    assert len(side.session.due) == 2


def test_nothing_is_sent_behind_a_result_that_may_be_cut_nor_while_it_is_being_stopped() -> None:
    side = Side(5)
    side.send(query("SELECT rows9") + query("SELECT 1"))
    assert len(side.session.due) == 1
    assert side.session.stalled
    side.read(70)
    assert side.stops == 1
    side.read(1000)
    assert kinds(side.door.take()) == "TDDDEZ"
    assert not side.session.due  # the cancel request may still come
    assert side.session.lease is not None
    side.finish_stops()
    side.settle()
    assert kinds(side.door.take()) == "CZ"
    assert side.session.lease is None


def test_what_was_read_whole_needs_no_cancel_request() -> None:
    for data in (query("SELECT rows9"), parse("SELECT rows9") + bind() + execute() + SYNC):
        side = Side()
        side.send(data)
        side.read(1000)
        assert side.stops == 0
        assert kinds(side.door.take())[-2:] == "EZ"
        assert side.session.lease is None


ROWS = message(84, b"\0\0") + ROW * 9


def cut_now() -> Side:
    """A session whose result has just been cut off, and whose server has not heard of it."""
    side = Side()
    side.session.data(query("SELECT rows9"))
    side.link.written = b""
    side.session.backend_data(ROWS)
    side.finish_stops()
    assert kinds(side.door.take()) == "TDDDE"
    return side


def test_what_does_not_answer_the_statement_is_told_meanwhile() -> None:
    side = cut_now()
    side.session.backend_data(ROW + message(83, b"DateStyle\0German\0") + ROW)
    assert kinds(side.door.take()) == "S"
    side.session.backend_data(message(78, b"SNOTICE\0VNOTICE\0C00000\0Mlate\0\0") + message(67, b"SELECT 99\0"))
    assert side.door.take() == b""
    side.session.backend_data(b"Z\0\0\0\5I")
    assert kinds(side.door.take()) == "Z"
    assert side.door.asked(ResultStopped)


def test_a_server_that_goes_away_meanwhile_ends_the_session() -> None:
    side = cut_now()
    side.session.backend_data(message(69, b"SFATAL\0VFATAL\0C57P01\0Mgoing\0\0"))
    side.session.handle(BackendLost("gone"))
    assert story(side.door.take()) == [("E", b"57P01")]
    side = cut_now()
    side.session.handle(BackendLost("gone"))
    assert story(side.door.take()) == [("E", b"08006")]
    assert side.door.released[-1][1]


def test_a_client_that_leaves_meanwhile_leaves_no_connection_behind() -> None:
    side = cut_now()
    side.session.handle(FrontendLost())
    assert side.door.released == [(side.link, True, True)]


def test_a_server_that_does_not_stop_loses_its_connection_and_the_session_goes_on() -> None:
    side = cut_now()
    side.session.handle(ResultOverdue())
    assert side.door.take() == b"Z\0\0\0\5I"
    assert side.door.released == [(side.link, True, True)]
    side.link = side.door.renew()
    side.server = StoppingServer(1000, "")
    side.send(query("SELECT rows2"))
    side.settle()
    assert kinds(side.door.take()) == "TDDCZ"


def test_in_the_extended_protocol_it_is_answered_at_the_clients_sync() -> None:
    side = Side()
    side.session.data(parse("SELECT rows9") + bind() + execute() + FLUSH)
    side.session.backend_data(b"1\0\0\0\0042\0\0\0\4" + ROW * 5)
    side.finish_stops()
    side.session.handle(ResultOverdue())
    assert kinds(side.door.take()) == "12DDDE"
    side.session.data(parse("SELECT 1") + bind() + execute())
    assert side.door.take() == b""
    side.session.data(SYNC)
    assert side.door.take() == b"Z\0\0\0\5I"


def test_in_a_block_the_session_ends_with_a_server_that_does_not_stop() -> None:
    side = Side()
    side.send(query("BEGIN"))
    side.settle()
    side.door.take()
    side.session.data(query("SELECT rows9"))
    side.session.backend_data(ROWS)
    side.session.handle(ResultOverdue())
    assert story(side.door.take())[-1] == ("E", b"08006")
    assert side.door.released[-1][1]


def test_rows_of_a_copy_are_cut_off_like_others() -> None:
    row, begun = message(100, b"1\n"), message(72, b"\0\0\1\0\0")
    for status, ends in (("I", "Z"), ("T", "")):
        side = Side()
        if status == "T":
            side.send(query("BEGIN"))
            side.settle()
            side.door.take()
        side.session.data(query("COPY t TO STDOUT"))
        side.link.written = b""
        side.session.backend_data(
            begun + row * 5 + b"c\0\0\0\4" + message(67, b"COPY 5\0") + b"Z\0\0\0\5" + status.encode()
        )
        assert kinds(side.door.take()) == "HdddE" + ends
        assert (side.link.written != b"") is (status == "T")
        side.settle()


def test_copy_done_is_no_row() -> None:
    side = Side(limits=Limits(result_rows=2, result_bytes=14))
    row, begun = message(100, b"1\n"), message(72, b"\0\0\1\0\0")
    side.session.data(query("COPY t TO STDOUT"))
    side.session.backend_data(begun + row * 2 + b"c\0\0\0\4" + message(67, b"COPY 2\0") + b"Z\0\0\0\5I")
    assert kinds(side.door.take()) == "HddcCZ"


def test_a_transaction_that_cannot_be_made_to_fail_is_out_of_step() -> None:
    side = Side()
    side.send(query("BEGIN"))
    side.settle()
    side.session.data(query("SELECT rows9"))
    side.session.backend_data(ROWS + message(67, b"SELECT 9\0") + b"Z\0\0\0\5T")
    side.session.backend_data(b"Z\0\0\0\5T")
    assert side.door.released[-1][1]
    assert story(side.door.take())[-1] == ("E", b"08P01")


def test_the_connection_says_the_transaction_is_over_only_when_it_is() -> None:
    side = Side()
    side.send(query("SELECT rows9"))
    side.settle()
    assert side.link.state.status == IDLE
    assert side.door.released == [(side.link, False, False)]
