"""What goes over the wire comes back as it was; keys of different limits never meet."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from proxy.quota.exchange import Answer, Report, Request, Take, Terms, key_text

parts = st.tuples(*[st.text(alphabet="ab/%2F", max_size=4)] * 4)


@given(parts, parts)
def test_two_keys_have_two_texts(one: tuple[str, str, str, str], other: tuple[str, str, str, str]) -> None:
    assert (key_text(one) == key_text(other)) == (one == other)


def test_a_key_begins_with_the_tenant() -> None:
    assert key_text(("acme", "acme_app", "rows_per_minute", "read")) == "acme/acme_app/rows_per_minute/read"
    assert key_text(("a/b", "", "connections", "")) == "a%2Fb//connections/"


def test_a_request_is_the_same_behind_the_wire() -> None:
    request = Request(
        "a", 3, "e", 12.5, 400_000, 2, 30.0, [Take("t///", 1.5, 2.0, 1.0, 0.0)], [Report("t///", 5, 1, 2, 3)], True
    )
    assert Request.of(json.loads(json.dumps(request.plain()))) == request
    assert Request.of(json.loads(json.dumps(Request("b", 1).plain()))).until is None


def test_an_answer_is_the_same_behind_the_wire() -> None:
    answer = Answer(True, "e", 1_700_000_000.123456, 1, 2, {"t///": (0.1, -3.0)}, {"t///": 4}, ["x///"])
    assert Answer.of(json.loads(json.dumps(answer.plain()))) == answer


def test_a_script_s_empty_lists_are_read_as_such() -> None:
    plain = {
        "heard": False,
        "epoch": "e",
        "time": "1",
        "share": 0,
        "peers": 0,
        "granted": {},
        "told": {},
        "recalled": {},
    }
    assert Answer.of(plain) == Answer(False, "e", 1.0, recalled=[])


def test_a_process_is_fenced_before_the_store_gives_its_permits_away() -> None:
    terms = Terms()
    assert terms.fence < terms.permit_ttl
    assert terms.alone > terms.timeout + terms.quiet
