"""Reports: fields by letter, nothing twice, nothing lost."""

from __future__ import annotations

import pytest

from proxy.errors import RemoteProtocolError
from proxy.wire.report import ErrorResponse, NoticeResponse


def test_an_error_of_our_own_says_its_severity_twice() -> None:
    error = ErrorResponse.build("ERROR", "42P01", 'relation "x" does not exist', position=15)
    assert error.encode()[5:] == b'SERROR\0VERROR\0C42P01\0Mrelation "x" does not exist\0P15\0\0'
    assert (error.severity, error.sqlstate, error.message) == ("ERROR", "42P01", 'relation "x" does not exist')


def test_detail_hint_and_others_follow() -> None:
    error = ErrorResponse.build("FATAL", "53300", "m", detail="d", hint="h", others={"t": "orders"})
    assert dict(error.fields) == {
        "S": "FATAL", "V": "FATAL", "C": "53300", "M": "m", "D": "d", "H": "h", "t": "orders",
    }  # fmt: skip


def test_a_zero_in_a_quoted_text_ends_no_field() -> None:
    error = ErrorResponse.build("ERROR", "22021", "bad \0 text", detail="\0")
    assert ErrorResponse.decode(error.encode()[5:]).message == "bad  text"


def test_a_notice_is_a_report_of_another_type() -> None:
    notice = NoticeResponse.build("WARNING", "25001", "there is already a transaction in progress")
    assert notice.encode()[:1] == b"N"
    assert NoticeResponse.decode(notice.encode()[5:]) == notice


def test_what_a_server_did_not_say_is_empty() -> None:
    error = ErrorResponse.decode(b"\0")
    assert (error.severity, error.sqlstate, error.message) == ("", "", "")
    assert ErrorResponse.decode(b"SFEHLER\0\0").severity == "FEHLER"


def test_malformed_reports_are_refused() -> None:
    for body in (b"", b"MSG", b"Mx\0", b"Mx\0My\0\0", b"Mx\0\0x", b"M\xff\0\0", b"\xc3x\0\0"):
        with pytest.raises(RemoteProtocolError):
            ErrorResponse.decode(body)
