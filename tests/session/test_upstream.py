"""Under which name the server knows a statement of the session, and what of it the session answers itself."""

from __future__ import annotations

from proxy.session.blocks import aborted
from proxy.session.session import ClientSession
from proxy.session.statements import Statement
from proxy.session.upstream import runnable, upstream_name
from proxy.sql.plan import Answer, AnswerKind, Planned, Reject, StatementKind
from proxy.wire.fields import message
from tests.session.conftest import Door, Talk, complete, failed, kinds, query
from tests.session.test_prepared import ONE, deallocate, plan, prepare, run


def parse(name: str, text: str) -> bytes:
    return message(80, f"{name}\0{text}\0".encode() + b"\0\0")


def bind(name: str) -> bytes:
    return message(66, b"\0" + name.encode() + b"\0" + bytes(6))


EXECUTE = message(69, b"\0" + bytes(4))
SYNC = message(83, b"")
DESCRIBE = message(68, b"P\0")


def test_a_statement_is_prepared_once_on_a_connection_under_one_name(session: ClientSession) -> None:
    session.ensure_lease()
    statement = Statement(b"SELECT 1", (), ONE, b"SELECT 1", session.epoch)
    name = upstream_name(session, b"p", statement)
    assert upstream_name(session, b"another name for it", statement) == name
    assert kinds(b"".join(session.up)) == "P"


def test_an_execute_in_the_extended_protocol_is_sent_with_the_servers_name(talk: Talk, door: Door) -> None:
    (one,) = door.free
    plan(door, "PREPARE p AS SELECT 1", prepare("p"))
    plan(door, "EXECUTE p", run("p"))
    told = talk(parse("", "PREPARE p AS SELECT 1") + bind("") + DESCRIBE + EXECUTE + SYNC, b"1\0\0\0\4" + b"Z\0\0\0\5I")
    assert kinds(told) == "12nCZ"
    assert b"PREPARE\0" in told
    assert kinds(one.written) == "PS"
    written = len(one.written)
    talk(parse("", "EXECUTE p") + bind("") + EXECUTE + SYNC, b"")
    assert kinds(one.written[written:]) == "PBES"
    assert b"\0EXECUTE pw_00000001\0" in one.written


def test_an_execute_of_nothing_fails_when_it_is_executed_and_not_before(talk: Talk, door: Door) -> None:
    plan(door, "EXECUTE p", run("p"))
    told = talk(parse("", "EXECUTE p") + bind("") + DESCRIBE + EXECUTE + SYNC, b"")
    assert kinds(told) == "12nEZ"
    assert b'prepared statement "p" does not exist' in told


def test_a_name_that_is_taken_fails_the_same_way(talk: Talk, door: Door, session: ClientSession) -> None:
    plan(door, "PREPARE p AS SELECT 1", prepare("p"))
    session.statements[b"p"] = Statement(b"SELECT 1", (), ONE, b"SELECT 1", session.epoch)
    told = talk(parse("", "PREPARE p AS SELECT 1") + bind("") + EXECUTE + SYNC, b"")
    assert kinds(told) == "12EZ"
    assert b"42P05" in told


def test_a_statement_of_older_rules_is_planned_again_before_it_is_executed(
    talk: Talk, door: Door, session: ClientSession
) -> None:
    plan(door, "PREPARE p AS SELECT 1", prepare("p"))
    talk(parse("", "PREPARE p AS SELECT 1") + bind("") + EXECUTE + SYNC, b"1\0\0\0\4" + b"Z\0\0\0\5I")
    old = session.statements[b"p"]
    session.epoch = object()
    door.planned[b"PREPARE p AS SELECT 1"] = Planned((prepare("p"),))
    found = runnable(session, b"p")
    assert isinstance(found, Statement)
    assert found is not old
    assert (found.epoch, found.key) == (session.epoch, old.key)


def test_in_a_failed_transaction_only_nothing_is_answered(session: ClientSession) -> None:
    empty = Answer(StatementKind.EMPTY, AnswerKind.EMPTY)
    assert not aborted(session, deallocate())
    session.ensure_lease()
    session.backend().status = ord("E")
    assert aborted(session, deallocate())
    assert aborted(session, prepare("p"))
    assert not aborted(session, empty)


def test_behind_a_sync_the_unnamed_statement_is_what_the_server_has_and_not_what_was_skipped(
    talk: Talk, session: ClientSession, door: Door
) -> None:
    (one,) = door.free
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(parse("fail", "SELECT 1 / 0") + parse("", "SELECT 'kept'") + SYNC, b"1\0\0\0\0041\0\0\0\4Z\0\0\0\5T")
    kept = session.statements[b""]
    one.written = b""
    session.data(bind("fail") + EXECUTE + parse("", "SELECT 'skipped'") + SYNC + bind("") + EXECUTE + SYNC)
    assert kinds(one.written) == "BEPS"
    session.backend_data(failed("22012"))
    assert session.statements[b""] is kept
    assert one.written.count(b"kept") == 1  # it is parsed anew, as nobody knows what the server has by now
    assert kinds(one.written) == "BEPSPBES"


def test_a_parse_of_ours_that_failed_is_not_relied_upon(talk: Talk, session: ClientSession, door: Door) -> None:
    (one,) = door.free
    talk(parse("", "SELECT 1") + SYNC, b"1\0\0\0\4Z\0\0\0\5I")
    talk(query("BEGIN"), complete("BEGIN", "T"))
    session.statements[b""] = Statement(b"SELECT 1", (), ONE, b"SELECT 1", session.epoch)
    one.written = b""
    session.data(bind("") + SYNC + bind("") + SYNC)
    assert kinds(one.written) == "PBS"
    session.backend_data(failed("25P02"))
    assert kinds(one.written) == "PBSPBS"


def test_a_name_whose_parse_was_skipped_stands_for_nothing_although_the_server_knows_the_text(
    talk: Talk, door: Door
) -> None:
    talk(parse("a", "SELECT 1") + parse("fail", "SELECT 1 / 0") + SYNC, b"1\0\0\0\0041\0\0\0\4Z\0\0\0\5I")
    (one,) = door.free
    one.written = b""
    told = talk(bind("fail") + EXECUTE + parse("b", "SELECT 1") + SYNC + bind("b") + SYNC, failed("22012", "I"))
    assert kinds(told) == "EZ"
    assert b'M"b"' not in told
    assert b"partywall refused" in one.written
    assert b'prepared statement "b" does not exist' in talk(b"", failed("26000", "I"))


def test_a_refused_query_that_was_skipped_does_not_end_the_unnamed_statement(
    talk: Talk, session: ClientSession, door: Door
) -> None:
    talk(parse("", "SELECT 1") + parse("fail", "SELECT 1 / 0") + SYNC, b"1\0\0\0\0041\0\0\0\4Z\0\0\0\5I")
    session.data(bind("fail") + EXECUTE + query("SELECT * FROM forbidden") + SYNC)
    session.backend_data(failed("22012", "I"))
    assert session.statements[b""].text == b"SELECT 1"


def test_what_is_used_in_the_pipeline_that_says_it_does_not_wait(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(parse("a", "SELECT 1") + bind("a") + SYNC + parse("", "SELECT 2") + bind("") + EXECUTE + SYNC)
    assert kinds(one.written) == "PBSPBES"
    session.data(bind("") + SYNC)
    assert kinds(one.written) == "PBSPBES"


def test_what_the_session_was_to_answer_is_bound_at_the_server_where_that_runs_it_by_now(
    talk: Talk, door: Door, session: ClientSession
) -> None:
    """The rules changed between Bind, which was answered, and Execute."""
    (one,) = door.free
    plan(door, "LISTEN news", Answer(StatementKind.NOTIFY, AnswerKind.LISTEN, "news"))
    told = talk(parse("", "LISTEN news") + message(66, b"p\0\0" + bytes(6)), b"")
    assert kinds(told) == "12"
    assert one.written == b""
    plan(door, "LISTEN news", ONE)
    session.epoch = object()
    session.started = -3600.0  # the statement before it came an hour ago
    told = talk(message(69, b"p\0" + bytes(4)) + SYNC, b"1\0\0\0\4" + b"2\0\0\0\4" + complete("LISTEN"))
    assert session.started == session.clock()
    assert kinds(one.written) == "PBES"
    assert kinds(told) == "CZ"


def test_what_the_session_was_to_answer_is_refused_where_the_rules_refuse_it_by_now(
    talk: Talk, door: Door, session: ClientSession
) -> None:
    plan(door, "LISTEN news", Answer(StatementKind.NOTIFY, AnswerKind.LISTEN, "news"))
    talk(parse("", "LISTEN news") + message(66, b"p\0\0" + bytes(6)), b"")
    plan(door, "LISTEN news", Reject(StatementKind.NOTIFY, "42501", "permission denied"))
    session.epoch = object()
    told = talk(message(69, b"p\0" + bytes(4)) + SYNC, b"")
    assert kinds(told) == "EZ"
    assert b"42501" in told
