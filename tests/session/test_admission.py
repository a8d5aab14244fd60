"""What stands for the tenant column is asked for before anything is sent, by both protocols."""

from __future__ import annotations

import pytest

from proxy.session.actions import Audit, PlanStatement
from proxy.session.encode import FAIL_BIND
from proxy.session.events import StatementPlanned
from proxy.session.session import ClientSession
from proxy.wire.fields import message
from tests.kit.builders import plan_text
from tests.session.conftest import Door, Talk, complete, kinds, query
from tests.session.test_extended import BOUND, DONE, IDLE, PARSED, SYNC, error, execute, parse

REFUSED = b'new row violates row-level security policy for table "t"'


def bind(value: bytes | None, form: int | None = None) -> bytes:
    """Bind of the unnamed statement with one parameter."""
    formats = b"\0\0" if form is None else b"\0\1" + form.to_bytes(2, "big")
    length = b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big")
    return message(66, b"\0\0" + formats + b"\0\1" + length + (value or b"") + b"\0\0")


def test_the_own_key_as_a_literal_is_sent(talk: Talk, door: Door) -> None:
    (one,) = door.free
    assert talk(query("KEY 1"), complete("INSERT 0 1")) == complete("INSERT 0 1")
    assert one.written == query("KEY 1")


def test_another_literal_is_refused_before_anything_is_sent_and_audited(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("KEY 2"))
    assert REFUSED in door.take()
    assert one.written == b""
    (audit,) = door.asked(Audit)
    assert (audit.decision.sqlstate, audit.decision.rules) == ("42501", ("admission.key",))


def test_one_refused_statement_refuses_the_whole_text(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("SELECT 1; KEY 2"))
    assert kinds(door.take()) == "EZ"
    assert one.written == b""


def test_parse_of_another_literal_is_refused(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(parse("KEY 2") + SYNC)
    assert REFUSED in door.take()
    assert one.written == b""


def test_a_plan_that_took_its_time_is_asked_like_any_other(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    door.cached = False
    session.data(query("KEY 2"))
    (asked,) = door.asked(PlanStatement)
    session.handle(StatementPlanned(asked.ticket, plan_text(b"KEY 2")))
    assert REFUSED in door.take()
    assert one.written == b""


@pytest.mark.parametrize(("value", "form"), [(b"1", None), (b"1", 0), (b"\0\0\0\1", 1)])
def test_the_own_key_as_a_parameter_goes_on_as_it_came(talk: Talk, door: Door, value: bytes, form: int | None) -> None:
    (one,) = door.free
    sent = parse("KEY $1") + bind(value, form) + execute() + SYNC
    assert talk(sent, PARSED + BOUND + DONE + IDLE) == PARSED + BOUND + DONE + IDLE
    assert one.written == sent


@pytest.mark.parametrize(
    ("value", "form"), [(b"2", None), (b"01", 0), (None, 0), (b"\0\0\0\2", 1), (b"1", 1), (b"1", 2)]
)
def test_another_parameter_is_refused_at_bind_and_the_rest_is_skipped(
    talk: Talk, door: Door, value: bytes | None, form: int | None
) -> None:
    (one,) = door.free
    told = talk(parse("KEY $1") + bind(value, form) + execute() + SYNC, PARSED + error("26000") + IDLE)
    assert kinds(told) == "1EZ"
    assert REFUSED in told
    assert one.written == parse("KEY $1") + FAIL_BIND + SYNC  # the server is made to fail, and hears of no value
    (audit,) = door.asked(Audit)
    assert audit.decision.sqlstate == "42501"


def test_a_bind_whose_values_are_cut_short_is_a_protocol_error(session: ClientSession, door: Door) -> None:
    session.data(parse("KEY $1"))
    session.data(message(66, b"\0\0\0\0\0\1\0\0\0\x09xx\0\0"))
    assert b"08P01" in door.take()
