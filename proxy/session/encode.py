"""The few messages that a session makes itself, as bytes: errors, statuses and the replies of statements it answers.

Formats: PostgreSQL documentation, "Message Formats". Relayed messages never come through here.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import Refusal
from proxy.sql.plan import Answer, AnswerKind, Reject
from proxy.wire.fields import Reader, Writer, message

PARSE_COMPLETE = b"1\0\0\0\4"
BIND_COMPLETE = b"2\0\0\0\4"
CLOSE_COMPLETE = b"3\0\0\0\4"
NO_DATA = b"n\0\0\0\4"
EMPTY_QUERY = b"I\0\0\0\4"
NO_PARAMETERS = b"t\0\0\0\6\0\0"
READY_IDLE = b"Z\0\0\0\5I"
SYNC = b"S\0\0\0\4"
FLUSH = b"H\0\0\0\4"
COPY_DONE = b"c\0\0\0\4"
VOID = 2278  # pg_type.oid

# Both fail before anything runs, in any transaction state: the first does not parse, the second names no statement.
FAIL_QUERY = message(81, b"refused by partywall\0")
FAIL_BIND = message(66, b"\0partywall refused\0\0\0\0\0\0\0")

ABORTED = Refusal(
    "current transaction is aborted, commands ignored until end of transaction block",
    sqlstate="25P02",
)


def query(text: bytes) -> bytes:
    """A Query message."""
    return b"Q" + (len(text) + 5).to_bytes(4, "big") + text + b"\0"


def parse(name: bytes, text: bytes, parameter_types: tuple[int, ...]) -> bytes:
    """A Parse message."""
    return Writer().cstring(name).cstring(text).uint32s(parameter_types).message(80)


def close_statement(name: bytes) -> bytes:
    """A Close message for a statement."""
    return message(67, b"S" + name + b"\0")


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse by their letter, in order."""
    reader = Reader(body)
    fields = {}
    while code := reader.byte():
        fields[chr(code)] = reader.cstring().decode("utf-8", "replace")
    return fields


def report(tag: int, fields: Mapping[str, str]) -> bytes:
    """ErrorResponse (tag 69) or NoticeResponse (78) of these fields."""
    writer = Writer()
    for code, text in fields.items():
        writer.byte(ord(code)).text(text.replace("\0", ""))
    return writer.byte(0).message(tag)


def error(refusal: Refusal, severity: str | None = None) -> bytes:
    """A refusal as ErrorResponse. `severity` overrides its own."""
    level = severity or refusal.severity
    fields = {"S": level, "V": level, "C": refusal.sqlstate, "M": refusal.message}
    if refusal.detail is not None:
        fields["D"] = refusal.detail
    if refusal.hint is not None:
        fields["H"] = refusal.hint
    if refusal.position is not None:
        fields["P"] = str(refusal.position)
    return report(69, fields)


def refusal_of(reject: Reject) -> Refusal:
    """What the client reads of a rejected plan: the rules that rejected it stay inside."""
    return Refusal(
        reject.message, detail=reject.detail, hint=reject.hint, position=reject.position, sqlstate=reject.sqlstate
    )


def parameter_status(name: str, value: str) -> bytes:
    """ParameterStatus."""
    return Writer().text(name).text(value).message(83)


def complete(tag: str) -> bytes:
    """CommandComplete."""
    return message(67, tag.encode() + b"\0")


def described(answer: Answer) -> bytes:
    """What Describe of an answered statement's portal says: its columns."""
    if answer.answer is not AnswerKind.ADVISORY_UNLOCK_ALL:
        return NO_DATA
    column = Writer().int16(1).text(answer.argument or "pg_advisory_unlock_all")
    return column.uint32(0).int16(0).uint32(VOID).int16(4).int32(-1).int16(0).message(84)


def answered(answer: Answer, with_description: bool) -> bytes:
    """The reply to an answered statement; simple queries get the description with it."""
    if answer.answer is AnswerKind.EMPTY:
        return EMPTY_QUERY
    if answer.answer is not AnswerKind.ADVISORY_UNLOCK_ALL:
        return complete(answer.answer.value)
    row = Writer().values((b"",)).message(68)
    return (described(answer) if with_description else b"") + row + complete(answer.answer.value)
