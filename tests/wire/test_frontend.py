"""Client messages: any body decodes to a message that encodes to the same bytes, or raises RemoteProtocolError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.frontend import (
    PORTAL,
    STATEMENT,
    Bind,
    Close,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    FrontendMessage,
    FunctionCall,
    Parse,
    PasswordMessage,
    Query,
    SASLInitialResponse,
    SASLResponse,
    Sync,
    Terminate,
    decode_frontend,
    join_bind,
    split_bind,
)

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
NAME = TEXT.map(str.encode)
SQL = st.binary(max_size=12).map(lambda data: data.replace(b"\0", b""))
OIDS = st.lists(st.integers(0, (1 << 32) - 1), max_size=3).map(tuple)
FORMATS = st.lists(st.integers(-32_768, 32_767), max_size=3).map(tuple)
VALUES = st.lists(st.none() | st.binary(max_size=6), max_size=3).map(tuple)
KINDS = st.sampled_from([STATEMENT, PORTAL])

MESSAGES: st.SearchStrategy[FrontendMessage] = st.one_of(
    st.builds(Query, SQL),
    st.builds(Parse, NAME, SQL, OIDS),
    st.builds(Bind, NAME, NAME, FORMATS, VALUES, FORMATS),
    st.builds(Describe, KINDS, NAME),
    st.builds(Close, KINDS, NAME),
    st.builds(Execute, NAME, st.integers(-(1 << 31), (1 << 31) - 1)),
    st.builds(CopyData, st.binary(max_size=9)),
    st.builds(CopyFail, TEXT),
    st.builds(FunctionCall, st.integers(0, (1 << 32) - 1), FORMATS, VALUES, st.integers(-32_768, 32_767)),
    st.builds(PasswordMessage, SQL),
    st.sampled_from([Sync(), Flush(), Terminate(), CopyDone()]),
)


@given(MESSAGES)
def test_what_is_encoded_decodes_to_the_same(message: FrontendMessage) -> None:
    data = message.encode()
    assert int.from_bytes(data[1:5], "big") == len(data) - 1
    assert decode_frontend(data[0], data[5:]) == message


@given(st.integers(0, 255) | st.sampled_from(b"QPBDECSHXdcfFp"), st.binary(max_size=40))
def test_any_bytes_are_a_message_that_encodes_to_them_or_a_protocol_error(tag: int, body: bytes) -> None:
    try:
        message = decode_frontend(tag, body)
    except RemoteProtocolError:
        return
    data = message.encode()
    assert (data[0], data[5:]) == (tag, body)


@given(MESSAGES, st.integers(0, 100), st.integers(0, 255), st.booleans())
def test_a_message_with_one_byte_changed_or_cut_is_another_message_or_none(
    message: FrontendMessage, position: int, byte: int, cut: bool
) -> None:
    data = message.encode()
    body = bytearray(data[5:])
    if cut:
        del body[position % (len(body) + 1) :]
    elif body:
        body[position % len(body)] = byte
    try:
        other = decode_frontend(data[0], bytes(body))
    except RemoteProtocolError:
        return
    assert other.encode()[5:] == body


def test_a_query_holds_one_string_and_ends_with_it() -> None:
    assert Query.decode(b"SELECT 1\0") == Query(b"SELECT 1")
    assert Query.decode(b"\0") == Query(b"")
    for body in (b"", b"SELECT 1", b"SELECT 1\0; DROP TABLE orders\0", b"SELECT 1\0\0"):
        with pytest.raises(RemoteProtocolError, match="invalid string in message"):
            Query.decode(body)


def test_sql_that_is_not_utf8_is_left_to_the_parser() -> None:
    assert Query.decode(b"SELECT '\xff'\0").text == b"SELECT '\xff'"
    assert Parse.decode(b"\0SELECT '\xff'\0\0\0").text == b"SELECT '\xff'"


def test_names_that_are_not_utf8_are_refused() -> None:
    for tag, body in ((b"P", b"\xff\0\0\0\0"), (b"B", b"\xff\0\0\0\0\0\0\0\0"), (b"D", b"S\xff\0"), (b"C", b"P\xff\0")):
        with pytest.raises(RemoteProtocolError, match="invalid string in message"):
            decode_frontend(tag[0], body)


def test_only_statements_and_portals_are_described_or_closed() -> None:
    for decode in (Describe.decode, Close.decode):
        with pytest.raises(RemoteProtocolError):
            decode(b"Xname\0")


def test_messages_without_a_body_have_none() -> None:
    for tag in b"SHXc":
        with pytest.raises(RemoteProtocolError):
            decode_frontend(tag, b"x")


def test_a_bind_is_sent_under_another_name_without_reading_its_values() -> None:
    bind = Bind(b"portal", b"theirs", (1,), (b"v", None), (0,))
    portal, statement, rest = split_bind(bind.encode()[5:])
    assert (portal, statement) == (b"portal", b"theirs")
    assert join_bind(portal, b"pw_1", rest) == Bind(b"portal", b"pw_1", (1,), (b"v", None), (0,)).encode()
    with pytest.raises(RemoteProtocolError):
        split_bind(b"portal\0theirs")


def test_sasl_messages_are_framed_and_not_read() -> None:
    first = SASLInitialResponse("SCRAM-SHA-256", b"n,,n=,r=x")
    assert SASLInitialResponse.decode(first.encode()[5:]) == first
    empty = SASLInitialResponse("SCRAM-SHA-256", None)
    assert SASLInitialResponse.decode(empty.encode()[5:]) == empty
    assert SASLResponse.decode(SASLResponse(b"c=biws").encode()[5:]) == SASLResponse(b"c=biws")
    with pytest.raises(RemoteProtocolError):
        SASLInitialResponse.decode(first.encode()[5:] + b"x")


def test_secrets_and_values_are_not_printed() -> None:
    for message in (PasswordMessage(b"hunter2"), SASLResponse(b"hunter2"), Bind(b"", b"", (), (b"hunter2",))):
        assert "hunter2" not in repr(message)
