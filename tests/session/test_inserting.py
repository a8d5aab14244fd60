"""COPY FROM as INSERTs: the client sees a COPY, the server batches of one transaction, and an error undoes all."""

from __future__ import annotations

import pytest

from proxy.quota.budgets import Budgets
from proxy.session.conversation import Waiting
from proxy.session.encode import FAIL_BIND, FLUSH, fields_of
from proxy.session.events import CancelFinished, CancelRequested, RowsOverdue
from proxy.session.inserting import FIRST, IN_FLIGHT, MOST_ROWS
from proxy.session.session import ClientSession
from proxy.sql.copied import CopyIn, Insertion, inserts
from proxy.sql.oids import INT4, TEXT
from proxy.sql.plan import Effects, Forward, KeyCheck, Planned, StatementKind, Template
from proxy.tenancy.policy import Limits
from proxy.wire.copyfields import Shape
from proxy.wire.copyformat import CopyFormat
from proxy.wire.fields import message
from tests.session.conftest import Door, complete, failed, kinds, link, query

PARTS = Template((b"INSERT INTO t (a, b, k) VALUES \0(\0, \0, 'own')\0",))
SHAPE = Shape(("a", "b"), default=b"D", defaults=frozenset({0, 1}))
INSERTION = Insertion(PARTS, (0, 1), frozenset({0, 1}), (INT4, TEXT), SHAPE)
PARSED, BOUND = b"1\0\0\0\4", b"2\0\0\0\4"
DONE, SYNC = message(99, b""), message(83, b"")
PARSE = message(80, b"\0COPY t\0\0\0")
BIND, EXECUTE = message(66, b"\0\0\0\0\0\0\0\0"), message(69, b"\0\0\0\0\0")
TYPES = b"\0\2\0\0\0\x17\0\0\0\x19"
ONE = message(80, b"\0INSERT INTO t (a, b, k) VALUES ($1, $2, 'own')\0" + TYPES)
TWO = message(
    80,
    b"\0INSERT INTO t (a, b, k) VALUES ($1, $2, 'own'), ($3, $4, 'own')\0\0\4\0\0\0\x17\0\0\0\x19\0\0\0\x17\0\0\0\x19",
)


def data(body: bytes) -> bytes:
    return message(100, body)


def sent(*values: bytes | None) -> bytes:
    """Bind, Execute and Flush of a batch."""
    body = b"\0\0\0\0" + len(values).to_bytes(2, "big")
    for one in values:
        body += b"\xff\xff\xff\xff" if one is None else len(one).to_bytes(4, "big") + one
    return message(66, body + b"\0\0") + EXECUTE + FLUSH


def inserted(rows: int) -> bytes:
    return BOUND + message(67, b"INSERT 0 %d\0" % rows)


def error(code: str, context: str = "") -> bytes:
    fields = f"SERROR\0VERROR\0C{code}\0Mno\0" + (f"W{context}\0" if context else "")
    return message(69, fields.encode() + b"\0")


class InsertingDoor(Door):
    """Every text that says COPY is one."""

    insertion = INSERTION
    effects = Effects()

    def lookup(self, text: bytes, parameter_types: tuple[int, ...] = (), extended: bool = False) -> Planned | None:
        if not text.startswith(b"COPY"):
            return super().lookup(text, parameter_types, extended)
        copy = CopyIn("t", 2, CopyFormat(), insert=self.insertion)
        plans = [Forward(StatementKind.COPY, Template((b"INSERT",)), self.effects, copy=copy) for _ in text.split(b";")]
        return Planned(tuple(plans), shape=text.decode())


@pytest.fixture
def door() -> InsertingDoor:
    return InsertingDoor(free=[link()])


def waits(session: ClientSession) -> bool:
    """Is nothing more of the client's read?"""
    return session.stalled


def begun(session: ClientSession, door: Door) -> None:
    """A COPY of which the server has taken the statement."""
    (one,) = door.free
    session.data(query("COPY t"))
    assert one.written == ONE + FLUSH
    session.backend_data(PARSED)
    assert door.take() == message(71, b"\0\0\2\0\0\0\0")
    one.written = b""


def test_the_client_sees_a_copy_and_the_server_a_batch_of_parameters(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    begun(session, door)
    session.data(data(b"1\tx\n2\t\\") + data(b"N\n"))
    assert one.written == sent(b"1", b"x") + sent(b"2", None)
    one.written = b""
    session.data(data(b"1\tx\n" * (FIRST - 2)))
    session.backend_data(inserted(1) * FIRST)
    one.written = b""
    session.data(data(b"1\tx\n2\t\\N\n"))
    session.data(DONE)
    assert one.written == TWO + sent(b"1", b"x", b"2", None) + SYNC
    session.backend_data(PARSED + inserted(2) + b"Z\0\0\0\5I")
    assert door.take() == complete(f"COPY {FIRST + 2}")
    assert [released[1] for released in door.released] == [False]


def test_data_wait_until_the_server_has_taken_the_statement(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("COPY t") + data(b"1\tx\n") + DONE + query("SELECT 1"))
    assert session.waiting is Waiting.COPY
    assert one.written == ONE + FLUSH
    session.backend_data(PARSED)
    assert one.written == ONE + FLUSH + sent(b"1", b"x") + SYNC + query("SELECT 1")
    session.backend_data(inserted(1) + b"Z\0\0\0\5I" + complete("SELECT 1"))
    assert kinds(door.take()) == "GCZCZ"


def test_a_statement_that_the_server_does_not_take_ends_it(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("COPY t") + data(b"1\tx\n") + DONE + query("SELECT 1"))
    session.backend_data(error("42501"))
    assert one.written == ONE + FLUSH + SYNC + query("SELECT 1")
    session.backend_data(b"Z\0\0\0\5I")
    assert kinds(door.take()) == "EZ"


def test_no_rows_are_none(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    begun(session, door)
    session.data(DONE)
    assert one.written == SYNC
    session.backend_data(b"Z\0\0\0\5I")
    assert door.take() == complete("COPY 0")


def test_an_error_ends_it_and_names_the_line_and_column_of_the_value(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    begun(session, door)
    session.data(data(b"1\tx\nq\ty\n") + DONE)
    one.written = b""
    session.backend_data(inserted(1) + error("22P02", "unnamed portal parameter $1 = 'q'"))
    fields = fields_of(door.take()[5:])
    assert fields["W"] == 'COPY t, line 2, column a: "q"'
    session.backend_data(b"Z\0\0\0\5I")
    assert kinds(door.take()) == "Z"
    session.data(query("SELECT 1"))
    assert one.written == query("SELECT 1")


def test_an_error_before_the_end_is_followed_by_sync_and_the_rest_of_the_data_is_ignored(
    session: ClientSession, door: Door
) -> None:
    (one,) = door.free
    begun(session, door)
    session.data(data(b"1\tx\n" * MOST_ROWS))
    one.written = b""
    session.backend_data(BOUND + error("23505"))
    assert one.written == SYNC
    session.backend_data(b"Z\0\0\0\5E")
    session.data(data(b"2\ty\n") + DONE)
    assert one.written == SYNC
    assert kinds(door.take()) == "EZ"
    assert session.copying is None


def test_data_that_are_no_rows_make_the_server_fail_and_the_client_reads_why(
    session: ClientSession, door: Door
) -> None:
    (one,) = door.free
    begun(session, door)
    session.data(data(b"1\tx\n2\n"))
    assert one.written == sent(b"1", b"x") + FAIL_BIND + FLUSH + SYNC
    session.backend_data(inserted(1) + failed("26000", "I"))
    told = door.take()
    fields = fields_of(told[5:])
    assert (fields["C"], fields["M"]) == ("22P04", 'missing data for column "b"')
    assert fields["W"] == 'COPY t, line 2: "2"'
    assert kinds(told) == "EZ"


def test_an_error_in_a_row_before_comes_first(session: ClientSession, door: Door) -> None:
    begun(session, door)
    session.data(data(b"1\tx\n2\n"))
    session.backend_data(BOUND + failed("23505", "I"))
    assert fields_of(door.take()[5:])["C"] == "23505"


def test_giving_up_undoes_what_went_in(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    begun(session, door)
    session.data(data(b"1\tx\n") + message(102, b"no more\0"))
    assert one.written == sent(b"1", b"x") + FAIL_BIND + FLUSH + SYNC
    session.backend_data(inserted(1) + failed("26000", "I"))
    fields = fields_of(door.take()[5:])
    assert (fields["C"], fields["M"]) == ("57014", "COPY from stdin failed: no more")


def test_rows_that_take_too_long_undo_it(session: ClientSession, door: Door) -> None:
    begun(session, door)
    session.handle(RowsOverdue())
    session.backend_data(failed("26000", "I"))
    assert fields_of(door.take()[5:])["C"] == "57014"


def test_it_goes_by_the_extended_protocol_too(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(PARSE + BIND + message(68, b"P\0") + EXECUTE + SYNC)
    assert one.written == ONE + FLUSH
    session.backend_data(PARSED)
    assert kinds(door.take()) == "12nG"
    one.written = b""
    session.data(data(b"1\tx\n") + DONE + SYNC)
    assert one.written == sent(b"1", b"x") + SYNC
    session.backend_data(inserted(1) + b"Z\0\0\0\5I")
    assert door.take() == complete("COPY 1")


def test_what_stands_behind_it_in_its_pipeline_is_skipped_with_it(session: ClientSession, door: Door) -> None:
    session.data(PARSE + BIND + EXECUTE)
    session.backend_data(PARSED)
    session.data(data(b"1\tx\n") + DONE + PARSE.replace(b"COPY t", b"SELECT") + SYNC)
    session.backend_data(BOUND + failed("23505", "I"))
    assert kinds(door.take()) == "12GEZ"


def test_the_client_is_not_read_while_batches_wait_for_the_server(session: ClientSession, door: Door) -> None:
    begun(session, door)
    session.data(data(b"1\tx\n" * (FIRST + MOST_ROWS * IN_FLIGHT)))
    assert waits(session)
    session.backend_data(inserted(1) * FIRST + PARSED)
    assert waits(session)
    session.backend_data(inserted(MOST_ROWS))
    assert not waits(session)
    session.data(DONE)
    session.backend_data(inserted(MOST_ROWS) * (IN_FLIGHT - 1) + b"Z\0\0\0\5I")
    assert door.take() == complete(f"COPY {FIRST + MOST_ROWS * IN_FLIGHT}")


def test_a_row_with_a_default_is_a_statement_of_its_own(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    begun(session, door)
    session.data(data(b"1\tD\n") + DONE)
    text = b"\0INSERT INTO t (a, b, k) VALUES ($1, DEFAULT, 'own')\0"
    assert one.written == message(80, text + TYPES) + sent(b"1", None) + SYNC


def test_a_row_of_another_tenant_is_refused_in_the_servers_words(session: ClientSession, door: InsertingDoor) -> None:
    check = KeyCheck("t", "default", INT4, 1)
    door.insertion = Insertion(PARTS, (0, 1), frozenset(), (INT4, TEXT), SHAPE, (check,))
    begun(session, door)
    session.data(data(b" 1\tx\n2\ty\n"))
    session.backend_data(inserted(1) + failed("26000", "I"))
    fields = fields_of(door.take()[5:])
    assert (fields["C"], fields["M"]) == ("42501", 'new row violates row-level security policy for table "t"')


def test_too_many_bytes_undo_it(session: ClientSession, door: Door) -> None:
    begun(session, door)
    limits = Limits(received_bytes_per_minute=1)
    session.budget = Budgets().of("acme", "acme_app", limits, None, session.counters, 0.0)
    session.data(data(b"1\tx\n" * 10))
    session.data(data(b"1\tx\n" * 10))
    session.backend_data(failed("26000", "I"))
    assert fields_of(door.take()[5:])["C"] == "53400"


def test_it_stands_alone(session: ClientSession, door: Door) -> None:
    session.data(query("COPY t; SELECT 1"))
    assert fields_of(door.take()[5:])["C"] == "0A000"


def test_only_such_a_copy_is_inserted() -> None:
    assert not inserts(Forward(StatementKind.COPY, Template((b"",)), copy=CopyIn("t", 1, CopyFormat())))


def test_of_a_large_message_no_more_is_read_than_the_server_keeps_up_with(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    begun(session, door)
    rows = 100_000
    session.data(data(b"1\tx\n" * rows) + DONE)
    assert len(one.written) < 200_000
    assert waits(session)
    told = b""
    while b"COPY" not in told:
        batch = session.due[0].inserting
        assert batch is not None
        assert sum(map(len, batch.flight)) < 10_000
        many = len(batch.flight[0])
        session.backend_data(inserted(many))
        told = door.take()
    assert told == message(67, b"COPY %d\0" % rows)


def test_a_cancel_request_between_two_batches_is_heard(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    begun(session, door)
    session.handle(CancelRequested())
    session.handle(CancelFinished())
    assert one.written == FAIL_BIND + FLUSH + SYNC
    session.backend_data(failed("26000", "I"))
    assert fields_of(door.take()[5:])["M"] == "canceling statement due to user request"


def test_what_it_does_besides_is_noted_before_it_is_sent(session: ClientSession, door: InsertingDoor) -> None:
    door.effects = Effects(draws=True)
    begun(session, door)
    assert session.backend().drawn


def test_by_the_extended_protocol_too(session: ClientSession, door: InsertingDoor) -> None:
    door.effects = Effects(draws=True)
    session.data(PARSE + BIND + EXECUTE)
    assert session.backend().drawn
