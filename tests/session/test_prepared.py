"""Names of prepared statements: what they stand for in a text of several statements, and what a failure leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.backend.state import BackendState
from proxy.session.due import QUERY, Due
from proxy.session.encode import fields_of
from proxy.session.prepared import merged, objection, rename, undo
from proxy.session.session import ClientSession
from proxy.session.statements import Statement
from proxy.sql.plan import (
    ADVISORY_LOCK,
    SETSEED,
    STATEMENT_NAME,
    UNTRACKED,
    Answer,
    AnswerKind,
    Effects,
    Execution,
    Forward,
    KeyCheck,
    Plan,
    Planned,
    Preparation,
    SettingEffect,
    StatementKind,
    Template,
)
from tests.kit.builders import forward
from tests.session.conftest import Door, Talk, complete, failed, kinds, query

ONE = forward(b"SELECT 1")


def prepare(name: str, plan: Forward = ONE, types: tuple[int, ...] = ()) -> Forward:
    return Forward(
        StatementKind.PREPARE,
        Template((b"PREPARE " + STATEMENT_NAME + b" AS " + plan.template.pieces[0],)),
        Effects(prepares=Preparation(name, types, plan)),
    )


def run(name: str, *arguments: bytes) -> Forward:
    template = Template((b"EXECUTE " + STATEMENT_NAME,))
    return Forward(StatementKind.PREPARE, template, Effects(executes=Execution(name, arguments)))


def deallocate(name: str = "") -> Answer:
    answer = AnswerKind.DEALLOCATE if name else AnswerKind.DEALLOCATE_ALL
    return Answer(StatementKind.PREPARE, answer, name)


def code(session: ClientSession, *plans: Plan) -> str | None:
    found = objection(session, Planned(plans))
    return None if found is None else found.sqlstate


@pytest.mark.parametrize(
    ("plans", "sqlstate"),
    [
        ((run("p"),), "26000"),
        ((deallocate("p"),), "26000"),
        ((prepare("p"), run("p")), None),
        ((prepare("p"), prepare("p")), "42P05"),
        ((prepare("p"), deallocate("p"), run("p")), "26000"),
        ((prepare("p"), deallocate(), prepare("p"), run("p")), None),
        ((prepare("P"), run("p")), "26000"),
        ((ONE,), None),
    ],
)
def test_a_name_means_what_the_statements_before_it_made_of_it(
    session: ClientSession, plans: tuple[Plan, ...], sqlstate: str | None
) -> None:
    assert code(session, *plans) == sqlstate
    assert session.statements == {}


def test_what_only_bind_can_be_asked_about_is_not_executed_by_execute(session: ClientSession) -> None:
    sets = replace(ONE, effects=Effects(settings=(SettingEffect("work_mem", None, False, 1),)))
    assert code(session, prepare("p", sets), run("p", b"1")) == "0A000"
    session.statements[b"d"] = Statement(b"DISCARD ALL", (), deallocate(), b"", session.epoch)
    assert code(session, run("d")) == "0A000"


def test_arguments_are_asked_for_the_tenant_column_as_parameters_of_bind_are(session: ClientSession) -> None:
    assert session.grant is not None
    checked = replace(ONE, checks=(KeyCheck("orders", "default", 23, 1),))
    own = session.grant.keys["default"].encode()
    assert code(session, prepare("p", checked), run("p", own)) is None
    for value in (b"2", b"'x'", b"01"):
        assert code(session, prepare("p", checked), run("p", value)) == "42501"
    assert code(session, prepare("p", checked), run("p")) == "42501"


def test_an_execute_does_what_the_statement_does_that_it_executes() -> None:
    writes = replace(ONE, effects=Effects(writes=True, taints=True, unpins=("x",)), rewritten=True, tag="TRUNCATE")
    found = merged(run("p"), writes)
    assert found.effects == Effects(writes=True, taints=True, unpins=("x",))
    assert (found.rewritten, found.tag) == (True, "TRUNCATE")
    locking = replace(run("p"), effects=Effects(pins=ADVISORY_LOCK))
    seeding = replace(ONE, effects=Effects(pins=SETSEED))
    assert merged(locking, seeding).effects == Effects(pins=SETSEED)
    unknown = replace(ONE, effects=Effects(pins=UNTRACKED))
    assert merged(locking, unknown).effects == Effects(pins=UNTRACKED)


def plan(door: Door, text: str, *plans: Plan) -> None:
    """This text's plans from now on."""
    door.planned[text.encode()] = Planned(plans)


def test_the_clients_name_never_reaches_the_server(talk: Talk, door: Door) -> None:
    (one,) = door.free
    plan(door, "PREPARE mine AS SELECT 1", prepare("mine"))
    plan(door, "EXECUTE mine", run("mine"))
    talk(query("PREPARE mine AS SELECT 1"), complete("PREPARE"))
    talk(query("EXECUTE mine"), complete("SELECT 1"))
    assert b"mine" not in one.written
    assert one.written == query("PREPARE pw_00000001 AS SELECT 1") + query("EXECUTE pw_00000001")


def test_on_another_connection_it_is_prepared_first_and_only_then_the_query_is_sent(talk: Talk, door: Door) -> None:
    plan(door, "PREPARE p AS SELECT 1", prepare("p"))
    plan(door, "EXECUTE p", run("p"))
    talk(query("PREPARE p AS SELECT 1"), complete("PREPARE"))
    other = door.renew()
    assert talk(query("EXECUTE p"), b"") == b""
    assert kinds(other.written) == "PS"
    assert talk(b"", b"1\0\0\0\4" + b"Z\0\0\0\5I") == b""
    assert kinds(other.written) == "PSQ"
    assert talk(b"", complete("SELECT 1")) == complete("SELECT 1")
    assert door.released[-1] == (other, False, False)


def test_when_that_fails_the_error_is_the_answer_and_nothing_else_is_sent(talk: Talk, door: Door) -> None:
    plan(door, "PREPARE p AS SELECT 1", prepare("p"))
    plan(door, "EXECUTE p", run("p"))
    talk(query("PREPARE p AS SELECT 1"), complete("PREPARE"))
    other = door.renew()
    told = talk(query("EXECUTE p"), failed("42P01", "I"))
    assert kinds(told) == "EZ"
    assert fields_of(told[5:])["C"] == "42P01"
    assert kinds(other.written) == "PS"
    assert other.state.prepared == {}
    assert door.released[-1] == (other, False, False)
    assert talk(query("SELECT 1"), complete("SELECT 1")) == complete("SELECT 1")


def test_what_is_prepared_on_the_connection_already_is_not_prepared_again(talk: Talk, door: Door) -> None:
    (one,) = door.free
    plan(door, "PREPARE p AS SELECT 1", prepare("p"))
    talk(query("PREPARE p AS SELECT 1"), complete("PREPARE"))
    plan(door, "DEALLOCATE p", deallocate("p"))
    talk(query("DEALLOCATE p"), b"")
    written = one.written
    empty = b"I\0\0\0\4" + b"Z\0\0\0\5I"
    assert talk(query("PREPARE p AS SELECT 1"), empty) == complete("PREPARE")
    assert one.written == written + query("")


def test_a_failure_takes_back_what_came_after_it_and_nothing_before(talk: Talk, session: ClientSession) -> None:
    text = "PREPARE a AS SELECT 1; SELECT 1 / 0; PREPARE b AS SELECT 2; DEALLOCATE c"
    door = session.port
    assert isinstance(door, Door)
    session.statements[b"c"] = Statement(b"", (), ONE, b"", session.epoch)
    plan(door, text, prepare("a"), ONE, prepare("b", forward(b"SELECT 2")), deallocate("c"))
    talk(query(text), complete("PREPARE")[:-6] + failed("22012", "I"))
    assert set(session.statements) == {b"a", b"c"}


def test_undoing_gives_a_name_its_meaning_back(session: ClientSession) -> None:
    before = Statement(b"1", (), ONE, b"", None)
    due = Due(QUERY)
    due.names = [(0, b"kept", None), (1, b"p", before), (2, b"p", None)]
    due.index = 1
    session.statements = {b"kept": before, b"p": Statement(b"2", (), ONE, b"", None)}
    undo(session, due)
    assert session.statements == {b"kept": before, b"p": before}


def test_the_server_speaks_of_a_statement_by_the_clients_name(session: ClientSession) -> None:
    state = BackendState(1, b"", {})
    statement = Statement(b"", (), ONE, b"SELECT 1", None)
    session.state = state
    session.statements[b"mine"] = statement
    upstream = state.prepare(statement.key).decode()
    fields = {"M": f'wrong number of parameters for prepared statement "{upstream}"'}
    rename(session, fields, Due(QUERY))
    assert fields["M"] == 'wrong number of parameters for prepared statement "mine"'
    session.state = None


def test_a_notice_of_something_else_keeps_its_words(session: ClientSession) -> None:
    fields = {"M": 'relation "pw_99999999" does not exist'}
    rename(session, fields, Due(QUERY))
    assert fields["M"] == 'relation "pw_99999999" does not exist'
