"""Requests are what they were, whichever way they came; whatever is not one is refused whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.fleet.control import (
    MAX_REQUEST,
    Answer,
    BadRequest,
    Cancel,
    Drain,
    Kill,
    Metrics,
    Pause,
    Ping,
    Prepare,
    PrepareRow,
    Proofs,
    Reload,
    Request,
    Resume,
    Statistics,
    decode,
    decode_answer,
    encode,
    encode_answer,
    patience,
)

NAMES = st.none() | st.text(max_size=10)
SECONDS = st.floats(0, 86400)
REQUESTS: st.SearchStrategy[Request] = st.one_of(
    st.builds(Statistics, NAMES),
    st.builds(Prepare, st.text(max_size=10), st.text(max_size=10)),
    st.builds(PrepareRow, st.text(max_size=10), st.text(), st.text(max_size=10), st.integers(0, 2**63 - 1)),
    st.builds(Reload, NAMES),
    st.builds(Pause, NAMES, NAMES, SECONDS, st.none() | SECONDS),
    st.builds(Resume, NAMES, NAMES),
    st.builds(Kill, NAMES, NAMES, st.none() | st.integers(-(2**31), 2**31 - 1)),
    st.builds(Drain, NAMES, SECONDS),
    st.builds(Cancel, st.integers(0, 2**31 - 1), st.text()),
    st.just(Ping()),
    st.just(Metrics()),
    st.builds(Proofs, st.lists(st.tuples(st.text(), st.text(), st.booleans()), max_size=3).map(tuple)),
)


@given(REQUESTS)
def test_every_request_is_decoded_as_it_was_encoded(request: Request) -> None:
    assert decode(encode(request)) == request


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not JSON"),
        (b"[]", "not an object"),
        (b"{}", "no such request"),
        (b'{"request": ["pause"]}', "no such request"),
        (b'{"request": "shutdown"}', "no such request"),
        (b'{"request": "Pause"}', "no such request"),
        (b'{"request": "reload", "force": true}', "reload has no 'force'"),
        (b'{"request": "cancel", "key": "00"}', "process_id is missing"),
        (b'{"request": "pause", "tenant": 1}', "tenant is of the wrong type"),
        (b'{"request": "pause", "tenant": ["acme"]}', "tenant is of the wrong type"),
        (b'{"request": "pause", "timeout": "1"}', "timeout is of the wrong type"),
        (b'{"request": "pause", "timeout": null}', "timeout is of the wrong type"),
        (b'{"request": "pause", "timeout": true}', "timeout is of the wrong type"),
        (b'{"request": "pause", "timeout": -1}', "between 0 and"),
        (b'{"request": "pause", "hold": 1e300}', "between 0 and"),
        (b'{"request": "kill", "process_id": 1.5}', "process_id is of the wrong type"),
        (b'{"request": "kill", "process_id": true}', "process_id is of the wrong type"),
        (b'{"request": "proofs", "weighed": [["a", "b"]]}', "weighed is of the wrong type"),
        (b'{"request": "proofs", "weighed": [["a", "b", 1]]}', "weighed is of the wrong type"),
        (b'{"request": "ping"}' + b" " * MAX_REQUEST, "too long"),
    ],
)
def test_what_is_no_request_is_refused_and_says_why(text: bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        decode(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_refusal(text: bytes) -> None:
    try:
        decode(text)
    except BadRequest:
        return


def test_an_answer_is_whole_or_refused() -> None:
    answer = Answer({"holders": [{"process_id": 3}]}, ("no",))
    assert decode_answer(encode_answer(answer)) == answer
    for text in (b"", b"[]", b"{}", b'{"result": 1, "problems": "no"}', b'{"result": 1, "problems": [], "more": 1}'):
        with pytest.raises(BadRequest):
            decode_answer(text)


def test_who_asks_waits_longer_than_what_is_asked_may_take() -> None:
    assert patience(Pause(timeout=100.0)) > 100.0
    assert patience(Drain("acme", 100.0)) > 100.0
    assert patience(Ping()) < patience(Reload())
