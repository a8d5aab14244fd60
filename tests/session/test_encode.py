"""The few messages of the session's own, as the protocol's chapter draws them."""

from __future__ import annotations

import pytest

from proxy.errors import Refusal
from proxy.session.encode import answered, described, error, fields_of, parse, query, refusal_of, report
from proxy.sql.plan import Answer, AnswerKind, Reject, StatementKind


def test_an_error_has_the_fields_that_drivers_read() -> None:
    data = error(Refusal("no", sqlstate="42501", detail="why", hint="how", position=3))
    assert data[:1] == b"E"
    assert int.from_bytes(data[1:5], "big") == len(data) - 1
    assert fields_of(data[5:]) == {
        "S": "ERROR", "V": "ERROR", "C": "42501", "M": "no", "D": "why", "H": "how", "P": "3",
    }  # fmt: skip
    assert fields_of(error(Refusal("no", sqlstate="42501"), "FATAL")[5:])["S"] == "FATAL"


def test_a_nul_in_a_text_cannot_begin_another_field() -> None:
    assert fields_of(report(69, {"M": "a\0Hforged"})[5:]) == {"M": "aHforged"}


def test_the_rules_that_rejected_a_plan_stay_inside() -> None:
    reject = Reject(StatementKind.SELECT, "42501", "no", rules=("verify:secret",))
    assert b"secret" not in error(refusal_of(reject))


def test_texts_are_sent_with_their_length_and_end() -> None:
    assert query(b"SELECT 1") == b"Q\0\0\0\x0dSELECT 1\0"
    assert parse(b"n", b"SELECT $1", (23,)) == b"P\0\0\0\x16n\0SELECT $1\0\0\1\0\0\0\x17"


@pytest.mark.parametrize("kind", AnswerKind)
def test_an_answer_is_what_the_server_would_say(kind: AnswerKind) -> None:
    answer = Answer(StatementKind.OTHER, kind, "pg_advisory_unlock_all")
    data = answered(answer, True)
    if kind is AnswerKind.EMPTY:
        assert data == b"I\0\0\0\4"
    elif kind is AnswerKind.ADVISORY_UNLOCK_ALL:
        assert data.startswith(described(answer))
        assert data.endswith(b"C\0\0\0\x0dSELECT 1\0")
        assert answered(answer, False)[:1] == b"D"
    else:
        assert data == b"C" + (len(kind.value) + 5).to_bytes(4, "big") + kind.value.encode() + b"\0"
        assert described(answer) == b"n\0\0\0\4"
