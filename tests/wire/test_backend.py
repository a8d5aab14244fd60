"""Server messages: any body decodes to a message that encodes to the same bytes, or raises RemoteProtocolError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.authentication import AuthenticationMD5Password, AuthenticationOk, AuthenticationSASL
from proxy.wire.backend import (
    BackendKeyData,
    BackendMessage,
    BindComplete,
    CloseComplete,
    Column,
    CommandComplete,
    CopyBothResponse,
    CopyData,
    CopyDone,
    CopyInResponse,
    CopyOutResponse,
    DataRow,
    EmptyQueryResponse,
    ErrorResponse,
    NegotiateProtocolVersion,
    NoData,
    NoticeResponse,
    NotificationResponse,
    ParameterDescription,
    ParameterStatus,
    ParseComplete,
    PortalSuspended,
    ReadyForQuery,
    RowDescription,
    decode_backend,
)

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
UINT32 = st.integers(0, (1 << 32) - 1)
INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
INT16 = st.integers(-32_768, 32_767)
INT16S = st.lists(INT16, max_size=3).map(tuple)
KEY = st.binary(min_size=4, max_size=32)
LETTERS = st.characters(min_codepoint=1, max_codepoint=127)
FIELDS = st.dictionaries(LETTERS, TEXT, max_size=5)
VALUES = st.lists(st.none() | st.binary(max_size=6), max_size=3).map(tuple)
COLUMNS = st.lists(st.builds(Column, TEXT, UINT32, INT16, UINT32, INT16, INT32, INT16), max_size=3).map(tuple)
BARE: list[BackendMessage] = [
    ParseComplete(), BindComplete(), CloseComplete(), NoData(), PortalSuspended(), EmptyQueryResponse(), CopyDone(),
    AuthenticationOk(), AuthenticationMD5Password(b"salt"), AuthenticationSASL(("SCRAM-SHA-256",)),
]  # fmt: skip

MESSAGES: st.SearchStrategy[BackendMessage] = st.one_of(
    st.sampled_from(BARE),
    st.builds(ParameterStatus, TEXT, TEXT),
    st.builds(BackendKeyData, UINT32, KEY),
    st.builds(ReadyForQuery, st.sampled_from(b"ITE")),
    st.builds(ErrorResponse, FIELDS),
    st.builds(NoticeResponse, FIELDS),
    st.builds(CommandComplete, TEXT),
    st.builds(RowDescription, COLUMNS),
    st.builds(ParameterDescription, st.lists(UINT32, max_size=3).map(tuple)),
    st.builds(DataRow, VALUES),
    st.builds(CopyInResponse, st.integers(0, 1), INT16S),
    st.builds(CopyOutResponse, st.integers(0, 1), INT16S),
    st.builds(CopyBothResponse, st.integers(0, 1), INT16S),
    st.builds(CopyData, st.binary(max_size=9)),
    st.builds(NotificationResponse, UINT32, TEXT, TEXT),
    st.builds(NegotiateProtocolVersion, UINT32, st.lists(TEXT, max_size=2).map(tuple)),
)


@given(MESSAGES)
def test_what_is_encoded_decodes_to_the_same(message: BackendMessage) -> None:
    data = message.encode()
    assert int.from_bytes(data[1:5], "big") == len(data) - 1
    assert decode_backend(data[0], data[5:]) == message


@given(st.integers(0, 255) | st.sampled_from(b"RSKZENCTtDdcAv123nsIGHW"), st.binary(max_size=40))
def test_any_bytes_are_a_message_that_encodes_to_them_or_a_protocol_error(tag: int, body: bytes) -> None:
    try:
        message = decode_backend(tag, body)
    except RemoteProtocolError:
        return
    data = message.encode()
    assert (data[0], data[5:]) == (tag, body)


@given(MESSAGES, st.integers(0, 100), st.integers(0, 255), st.booleans())
def test_a_message_with_one_byte_changed_or_cut_is_another_message_or_none(
    message: BackendMessage, position: int, byte: int, cut: bool
) -> None:
    data = message.encode()
    body = bytearray(data[5:])
    if cut:
        del body[position % (len(body) + 1) :]
    elif body:
        body[position % len(body)] = byte
    try:
        other = decode_backend(data[0], bytes(body))
    except RemoteProtocolError:
        return
    assert other.encode()[5:] == body


def test_ready_for_query_knows_three_states() -> None:
    for body in (b"", b"X", b"IT", b"IE"):
        with pytest.raises(RemoteProtocolError):
            ReadyForQuery.decode(body)


def test_a_cancel_key_has_a_length_in_reason() -> None:
    for length in (0, 3, 257):
        with pytest.raises(RemoteProtocolError):
            BackendKeyData.decode(b"\0\0\0\1" + b"k" * length)


def test_a_copy_is_text_or_binary() -> None:
    with pytest.raises(RemoteProtocolError):
        CopyInResponse.decode(b"\2\0\0")


def test_a_type_that_no_server_sends_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="unexpected message type 0x51 from server"):
        decode_backend(ord("Q"), b"SELECT 1\0")


def test_messages_without_a_body_have_none() -> None:
    for tag in b"123nsIc":
        with pytest.raises(RemoteProtocolError):
            decode_backend(tag, b"x")


def test_keys_are_not_printed() -> None:
    assert "abcd" not in repr(BackendKeyData(1, b"abcd"))
