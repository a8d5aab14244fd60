"""The extended protocol: names of the client's, names of ours, errors that skip to Sync, and pipelines."""

from __future__ import annotations

import pytest

from proxy.session.actions import Audit, CloseFrontend
from proxy.session.session import ClientSession
from proxy.wire.fields import message
from tests.session.conftest import READY, Door, Talk, complete, failed, kinds, link, query

SYNC, FLUSH = b"S\0\0\0\4", b"H\0\0\0\4"
PARSED, BOUND, CLOSED, NO_DATA = b"1\0\0\0\4", b"2\0\0\0\4", b"3\0\0\0\4", b"n\0\0\0\4"
DONE = message(67, b"SELECT 1\0")
IDLE, BLOCK, FAILED = READY + b"I", READY + b"T", READY + b"E"


def parse(text: str, name: str = "") -> bytes:
    return message(80, name.encode() + b"\0" + text.encode() + b"\0\0\0")


def bind(name: str = "", portal: str = "", value: bytes | None = None) -> bytes:
    values = b"\0\0" if value is None else b"\0\1" + len(value).to_bytes(4, "big") + value
    return message(66, portal.encode() + b"\0" + name.encode() + b"\0\0\0" + values + b"\0\0")


def execute(portal: str = "", rows: int = 0) -> bytes:
    return message(69, portal.encode() + b"\0" + rows.to_bytes(4, "big"))


def describe(what: str, name: str = "") -> bytes:
    return message(68, what.encode() + name.encode() + b"\0")


def close(what: str, name: str = "") -> bytes:
    return message(67, what.encode() + name.encode() + b"\0")


def error(code: str) -> bytes:
    return message(69, f"SERROR\0VERROR\0C{code}\0Mno\0\0".encode())


def test_an_unnamed_statement_keeps_its_name_and_its_messages(talk: Talk, door: Door) -> None:
    (one,) = door.free
    sent = parse("SELECT 1") + bind() + execute() + SYNC
    reply = PARSED + BOUND + DONE + IDLE
    assert talk(sent, reply) == reply
    assert one.written == sent
    assert [destroyed for _, destroyed, _ in door.released] == [False]


def test_a_named_statement_is_prepared_under_our_name_on_each_connection_once(talk: Talk, door: Door) -> None:
    (first,) = door.free
    talk(parse("SELECT 1", "mine") + SYNC, PARSED + IDLE)
    ours = first.written.split(b"\0\0\0")[1]
    assert b"mine" not in first.written
    first.written = b""
    assert kinds(talk(bind("mine") + execute() + SYNC, BOUND + DONE + IDLE)) == "2CZ"
    assert kinds(first.written) == "BES"
    second = link()
    door.free[:] = [second]
    told = talk(bind("mine") + execute() + SYNC, PARSED + BOUND + DONE + IDLE)
    assert kinds(told) == "2CZ"  # the client did not ask for ParseComplete
    assert kinds(second.written) == "PBES"
    assert ours


def test_a_name_is_taken_until_it_is_closed(talk: Talk, session: ClientSession, door: Door) -> None:
    talk(parse("SELECT 1", "mine") + SYNC, PARSED + IDLE)
    session.data(parse("SELECT 2", "mine") + SYNC)
    assert b"C42P05\0" in door.take()
    session.data(close("S", "mine") + close("S", "never there") + SYNC)
    assert kinds(door.take()) == "33Z"
    assert kinds(talk(parse("SELECT 2", "mine") + SYNC, PARSED + IDLE)) == "1Z"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (bind("nobody"), "26000"), (bind(), "26000"), (describe("S", "nobody"), "26000"),
        (describe("P", "nobody"), "34000"), (execute("nobody"), "34000"), (parse("SELECT FROM forbidden"), "42P01"),
    ],
)  # fmt: skip
def test_an_error_skips_everything_until_sync(session: ClientSession, door: Door, sent: bytes, code: str) -> None:
    session.data(sent + parse("SELECT 1", "x") + bind("x") + execute() + FLUSH)
    told = door.take()
    assert kinds(told) == "E"
    assert f"C{code}\0".encode() in told
    session.data(SYNC)
    assert kinds(door.take()) == "Z"
    assert door.free[0].written == b""
    session.data(bind("x") + SYNC)
    assert b"C26000\0" in door.take()  # what was skipped was not defined


def test_a_refused_statement_is_audited_once(session: ClientSession, door: Door) -> None:
    session.data(parse("SELECT FROM forbidden") + SYNC)
    (audit,) = door.asked(Audit)
    assert audit.decision.sqlstate == "42P01"


def test_inside_a_block_the_server_is_made_to_fail_with_our_words(talk: Talk, door: Door) -> None:
    (one,) = door.free
    talk(query("BEGIN"), complete("BEGIN", "T"))
    one.written = b""
    told = talk(parse("SELECT FROM forbidden") + SYNC, error("26000") + FAILED)
    assert kinds(one.written) == "BS"
    assert b"C42P01\0" in told
    assert b"partywall refused" not in told
    assert told.endswith(FAILED)


def test_the_unnamed_portal_that_a_failed_query_left_is_the_servers_to_speak_of(talk: Talk, door: Door) -> None:
    (one,) = door.free
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query("SELECT 1 / 0"), failed("22012"))
    one.written = b""
    assert kinds(talk(describe("P") + SYNC, error("25P02") + FAILED)) == "EZ"
    assert kinds(talk(close("P") + SYNC, CLOSED + FAILED)) == "3Z"
    assert one.written == describe("P") + SYNC + close("P") + SYNC


def test_a_cursor_of_declare_is_described_as_the_portal_that_it_is(talk: Talk, door: Door) -> None:
    (one,) = door.free
    talk(query("BEGIN"), complete("BEGIN", "T"))
    one.written = b""
    columns = message(84, b"\0\0")
    assert talk(describe("P", "mine") + SYNC, columns + BLOCK) == columns + BLOCK
    assert one.written == describe("P", "mine") + SYNC
    one.written = b""
    assert talk(close("P", "mine") + SYNC, CLOSED + BLOCK) == CLOSED + BLOCK
    assert one.written == close("P", "mine") + SYNC
    assert b"C34000\0" in talk(describe("P", "nobody") + SYNC, error("34000") + FAILED)


def test_a_refusal_that_the_server_lets_through_is_out_of_step(talk: Talk, door: Door) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(parse("SELECT FROM forbidden") + SYNC, BOUND + BLOCK)
    assert [destroyed for _, destroyed, _ in door.released] == [True]


def test_an_error_of_the_servers_undefines_what_came_behind_it(talk: Talk, session: ClientSession, door: Door) -> None:
    sent = parse("SELECT 1", "a") + bind("a") + execute() + parse("SELECT 2", "b") + SYNC
    assert kinds(talk(sent, PARSED + BOUND + error("22012") + IDLE)) == "12EZ"
    session.data(bind("b") + SYNC)
    assert b"C26000\0" in door.take()
    assert kinds(talk(bind("a") + execute() + SYNC, BOUND + DONE + IDLE)) == "2CZ"


def test_answers_keep_their_place_in_a_pipeline(talk: Talk) -> None:
    sent = (
        parse("SELECT 1") + bind() + execute() + parse("UNLISTEN *", "r") + bind("r") + describe("P") + execute() + SYNC
    )
    told = talk(sent, PARSED + BOUND + DONE + IDLE)
    assert kinds(told) == "12C12nCZ"


@pytest.mark.parametrize("failed", [False, True])
def test_a_portal_outlives_the_end_of_an_earlier_pipeline(talk: Talk, failed: bool) -> None:
    first = parse("SELECT 1") + bind() + execute() + SYNC
    reply = PARSED + BOUND + (error("22012") if failed else DONE) + IDLE
    assert kinds(talk(first + parse("SELECT 2") + bind(), reply)) == ("12EZ" if failed else "12CZ")
    assert kinds(talk(execute() + SYNC, PARSED + BOUND + DONE + IDLE)) == "12CZ"


def test_answers_alone_need_no_connection(session: ClientSession, door: Door) -> None:
    session.data(parse("SELECT pg_advisory_unlock_all()") + describe("S") + bind() + describe("P") + execute() + SYNC)
    assert kinds(door.take()) == "1tT2TDCZ"
    assert door.free[0].written == b""


def test_a_row_limit_suspends_and_the_portal_goes_on(talk: Talk, door: Door) -> None:
    row, suspended = message(68, b"\0\0"), b"s\0\0\0\4"
    told = talk(parse("SELECT 1") + bind(portal="p") + execute("p", 1) + FLUSH, PARSED + BOUND + row + suspended)
    assert kinds(told) == "12Ds"
    assert door.released == []
    assert kinds(talk(execute("p", 1) + close("P", "p") + SYNC, DONE + CLOSED + IDLE)) == "C3Z"
    assert len(door.released) == 1


def test_a_pipeline_without_sync_holds_its_connection(talk: Talk, door: Door) -> None:
    talk(parse("SELECT 1") + FLUSH, PARSED)
    assert door.released == []
    talk(SYNC, IDLE)
    assert len(door.released) == 1


@pytest.mark.parametrize(
    "sent",
    [
        message(66, b"no end"), message(69, b"\0\0"), message(83, b"x"), message(72, b"x"), message(68, b"X\0"),
        message(67, b"X\0"), message(80, b"\0SELECT 1\0\0\1"), message(33, b""),
    ],
)  # fmt: skip
def test_a_malformed_message_ends_the_session_and_reaches_nobody(
    session: ClientSession, door: Door, sent: bytes
) -> None:
    session.data(sent + query("SELECT 1"))
    assert b"C08P01\0" in door.take()
    assert door.asked(CloseFrontend)
    assert door.free[0].written == b""


def test_a_function_call_is_never_passed_on(session: ClientSession, door: Door) -> None:
    session.data(message(70, b"\0\0\0\1\0\0\0\0\0\0"))
    told = door.take()
    assert kinds(told) == "EZ"
    assert b"C0A000\0" in told
    assert door.free[0].written == b""


def test_copy_messages_outside_a_copy_are_ignored_as_the_server_does(session: ClientSession, door: Door) -> None:
    session.data(message(100, b"data") + message(99, b"") + message(102, b"no\0"))
    assert door.take() == b""
    session.data(query("RESET ALL"))
    assert kinds(door.take()) == "CZ"


def test_new_rules_plan_a_prepared_statement_again(talk: Talk, session: ClientSession, door: Door) -> None:
    talk(parse("SELECT 1", "mine") + SYNC, PARSED + IDLE)
    before = session.statements[b"mine"]
    session.epoch = object()
    talk(bind("mine") + execute() + SYNC, BOUND + DONE + IDLE)
    assert session.statements[b"mine"] is not before
    assert session.statements[b"mine"].epoch is session.epoch


def test_a_name_that_an_error_may_still_give_back_is_waited_for(session: ClientSession, door: Door) -> None:
    """Closed in a pipeline that fails before: it is still taken, as PostgreSQL has it."""
    talked = parse("SELECT 1", "a") + SYNC
    session.data(talked)
    session.backend_data(PARSED + IDLE)
    door.take()
    session.data(parse("SELECT 2") + bind() + execute() + close("S", "a") + SYNC + parse("SELECT 3", "a") + SYNC)
    session.backend_data(PARSED + BOUND + error("22012"))
    assert kinds(door.take()) == "12E"
    session.backend_data(IDLE)
    session.backend_data(error("26000") + IDLE)  # what stands for the refusal at the server
    assert b"C42P05\0" in door.take()
    assert session.statements[b"a"].text == b"SELECT 1"


def test_what_the_proxy_answers_itself_takes_no_parameters(talk: Talk, session: ClientSession, door: Door) -> None:
    session.data(parse("UNLISTEN *", "r") + bind("r", value=b"x") + SYNC)
    told = door.take()
    assert b"C08P01\0" in told
    assert b'bind message supplies 1 parameters, but prepared statement "r" requires 0' in told
