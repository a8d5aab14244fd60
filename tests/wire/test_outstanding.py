"""What a server owes: pipelines by name, and the invariant that after a Sync's ReadyForQuery nothing is owed.

The property drives a small server of its own: it answers every message it gets as PostgreSQL does, fails where it is
told, and ignores what follows up to Sync. Whatever the client should then have seen is worked out from the same rules
over the client's messages alone, and must be what the queue let through.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.outstanding import (
    BIND,
    CLOSE,
    DESCRIBE_PORTAL,
    DESCRIBE_STATEMENT,
    EXECUTE,
    FORWARD,
    PARSE,
    QUERY,
    SKIP,
    SUPPLY,
    SYNC,
    Disposition,
    Expected,
    Kind,
    Outstanding,
)


def story(outstanding: Outstanding, tags: bytes) -> str:
    """What the client sees of these messages: forwarded ones, and supplied payloads in their place."""
    seen = "".join(str(one.payload) for one in outstanding.supplies())
    for tag in tags:
        if outstanding.on_backend(tag) is FORWARD:
            seen += chr(tag)
        seen += "".join(str(one.payload) for one in outstanding.supplies())
    return seen


def expecting(*entries: Kind | tuple[Kind, Disposition] | tuple[Kind, Disposition, str]) -> Outstanding:
    outstanding = Outstanding()
    for entry in entries:
        if isinstance(entry, tuple):
            assert outstanding.expect(*entry)
        else:
            assert outstanding.expect(entry)
    return outstanding


def test_parse_bind_describe_execute_close_sync() -> None:
    outstanding = expecting(PARSE, BIND, DESCRIBE_PORTAL, EXECUTE, CLOSE, SYNC)
    assert story(outstanding, b"12TC3Z") == "12TC3Z"
    assert outstanding.idle


def test_describe_of_a_statement_has_two_replies() -> None:
    assert story(expecting(DESCRIBE_STATEMENT, SYNC), b"tTZ") == "tTZ"
    assert story(expecting(DESCRIBE_STATEMENT, SYNC), b"tnZ") == "tnZ"


def test_an_execute_ends_in_three_ways() -> None:
    for end in "CIs":
        assert expecting(EXECUTE, SYNC).on_backend(ord(end)) is FORWARD


def test_a_simple_query_ends_with_ready_for_query_only() -> None:
    outstanding = expecting(QUERY)
    assert story(outstanding, b"TCITCE") == "TCITCE"
    assert not outstanding.idle
    assert story(outstanding, b"Z") == "Z"
    assert outstanding.idle


def test_a_parse_of_the_proxys_own_is_not_seen() -> None:
    outstanding = expecting((PARSE, SKIP), BIND, DESCRIBE_PORTAL, EXECUTE, SYNC)
    assert story(outstanding, b"12TCZ") == "2TCZ"


def test_a_close_of_the_proxys_own_before_and_after() -> None:
    outstanding = expecting((CLOSE, SKIP), (PARSE, SKIP), BIND, EXECUTE, (CLOSE, SKIP), SYNC)
    assert story(outstanding, b"312C3Z") == "2CZ"


def test_a_query_of_the_proxys_own_is_skipped_with_its_ready_for_query() -> None:
    outstanding = expecting((QUERY, SKIP), QUERY)
    assert story(outstanding, b"CZTCZ") == "TCZ"


def test_a_failed_query_of_the_proxys_own_leaves_what_follows() -> None:
    outstanding = expecting((QUERY, SKIP), PARSE, SYNC)
    assert story(outstanding, b"EZ1Z") == "1Z"


def test_the_proxy_answers_a_parse_itself_in_its_turn() -> None:
    outstanding = expecting(BIND, EXECUTE, (PARSE, SUPPLY, "<1>"), BIND, EXECUTE, SYNC)
    assert story(outstanding, b"2C2CZ") == "2C<1>2CZ"


def test_supplies_at_the_head_go_out_at_once() -> None:
    outstanding = expecting((PARSE, SUPPLY, "<1>"), (BIND, SUPPLY, "<2>"), EXECUTE)
    assert story(outstanding, b"") == "<1><2>"
    assert outstanding.queue[0].kind is EXECUTE


def test_an_error_drops_what_follows_up_to_sync() -> None:
    outstanding = expecting(PARSE, BIND, (PARSE, SUPPLY, "<1>"), (PARSE, SKIP), EXECUTE, SYNC, PARSE, SYNC)
    assert story(outstanding, b"1EZ1Z") == "1EZ1Z"
    assert [one.kind for one in outstanding.dropped] == [BIND, PARSE, PARSE, EXECUTE]


def test_an_error_before_the_sync_is_sent_makes_later_messages_vain() -> None:
    outstanding = expecting(PARSE)
    assert story(outstanding, b"E") == "E"
    assert outstanding.skipping
    assert not outstanding.expect(BIND)
    assert not outstanding.expect(QUERY)
    assert not outstanding.expect(PARSE, SUPPLY, "<1>")
    assert outstanding.expect(SYNC)
    assert outstanding.expect(PARSE)
    assert story(outstanding, b"Z1") == "Z1"


def test_a_simple_query_behind_a_failed_extended_one_is_ignored_too() -> None:
    outstanding = expecting(PARSE, QUERY, SYNC)
    assert story(outstanding, b"EZ") == "EZ"
    assert outstanding.idle


def test_an_error_of_the_proxys_own_parse_is_the_sessions_to_judge() -> None:
    outstanding = expecting((PARSE, SKIP, "payload"), BIND, SYNC)
    assert outstanding.on_backend(ord("E")) is SKIP
    assert outstanding.current == Expected(PARSE, SKIP, "payload")
    assert story(outstanding, b"Z") == "Z"


def test_a_sync_that_fails_is_still_ready() -> None:
    assert story(expecting(EXECUTE, SYNC), b"CEZ") == "CEZ"  # a deferred constraint at commit


def test_the_proxy_answers_a_lone_sync_itself() -> None:
    assert story(expecting((SYNC, SUPPLY, "<Z>"), QUERY), b"CZ") == "<Z>CZ"
    assert story(expecting((PARSE, SUPPLY, "<1>"), (SYNC, SUPPLY, "<Z>")), b"") == "<1><Z>"


def test_the_sync_of_a_segment_that_the_server_has_is_not_the_proxys_to_answer() -> None:
    for outstanding in (expecting(PARSE), expecting(PARSE, (BIND, SUPPLY, "<2>"))):
        with pytest.raises(ValueError, match="Sync"):
            outstanding.expect(SYNC, SUPPLY, "<Z>")
    outstanding = expecting(PARSE)
    story(outstanding, b"E")
    with pytest.raises(ValueError, match="Sync"):
        outstanding.expect(SYNC, SUPPLY, "<Z>")


def test_notices_follow_what_is_being_answered_and_settings_follow_nothing() -> None:
    outstanding = expecting((QUERY, SKIP), QUERY)
    assert story(outstanding, b"NSACZ") == "SA"
    assert story(outstanding, b"NSACZ") == "NSACZ"
    assert story(outstanding, b"NSA") == "NSA"


def test_an_error_that_answers_nothing_is_the_server_going_away() -> None:
    outstanding = Outstanding()
    assert outstanding.on_backend(ord("E")) is FORWARD
    assert outstanding.current is None


def test_replies_that_are_not_due_are_refused() -> None:
    for outstanding, tag in (
        (Outstanding(), "Z"),
        (Outstanding(), "1"),
        (expecting(PARSE), "2"),
        (expecting(BIND), "Z"),
        (expecting(QUERY), "1"),
        (expecting(SYNC), "C"),
        (expecting(DESCRIBE_PORTAL), "t"),
        (expecting((PARSE, SUPPLY, "<1>")), "1"),
        (expecting((PARSE, SUPPLY, "<1>")), "E"),
    ):
        with pytest.raises(RemoteProtocolError):
            outstanding.on_backend(ord(tag))


def test_only_one_plain_simple_query_is_quiet() -> None:
    assert expecting(QUERY).quiet
    assert not Outstanding().quiet
    assert not expecting(QUERY, QUERY).quiet
    assert not expecting((QUERY, SKIP)).quiet
    assert not expecting(EXECUTE).quiet


def test_a_copy_takes_no_notice_of_sync() -> None:
    outstanding = expecting(EXECUTE, SYNC)
    assert story(outstanding, b"G") == "G"
    assert outstanding.copying
    assert not outstanding.expect(SYNC)
    outstanding.copy_ended()
    assert outstanding.expect(SYNC)
    assert story(outstanding, b"CZ") == "CZ"
    assert outstanding.idle


def test_a_copy_that_fails_waits_for_sync() -> None:
    outstanding = expecting(EXECUTE)
    assert story(outstanding, b"GE") == "GE"
    assert not outstanding.copying
    assert outstanding.expect(SYNC)
    assert story(outstanding, b"Z") == "Z"


def test_a_copy_within_a_simple_query_goes_on_to_ready_for_query() -> None:
    outstanding = expecting(QUERY)
    assert story(outstanding, b"G") == "G"
    outstanding.copy_ended()
    assert story(outstanding, b"CTCZ") == "CTCZ"
    assert outstanding.idle


# ------------------------------------------------------------------------------------------------ the invariant

REPLIES = {
    PARSE: "1", BIND: "2", CLOSE: "3", DESCRIBE_STATEMENT: "tT", DESCRIBE_PORTAL: "T", EXECUTE: "C", QUERY: "TCZ",
    SYNC: "Z",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of a pipeline. fails: the server answers it with an error, if it gets and reads it."""

    kind: Kind
    disposition: Disposition
    fails: bool


def replies(pipeline: list[Sent], *, seen_only: bool) -> str:
    """PostgreSQL's replies to the messages; with seen_only those that a client should see, supplies in parentheses."""
    text, ignoring = "", False
    for one in pipeline:
        if ignoring and one.kind is not SYNC:
            continue
        if one.disposition is SUPPLY:
            text += f"({one.kind:d})" if seen_only else ""
            continue
        ignoring = one.fails and one.kind not in (QUERY, SYNC)
        reply = ("E" + ("Z" if one.kind in (QUERY, SYNC) else "")) if one.fails else REPLIES[one.kind]
        text += "" if seen_only and one.disposition is SKIP else reply
    return text


SENT = st.builds(
    Sent,
    st.sampled_from([kind for kind in Kind if kind is not SYNC]),
    st.sampled_from(Disposition),
    st.sampled_from([False, False, False, True]),
)
SEGMENTS = st.lists(st.lists(SENT, max_size=6), min_size=1, max_size=5)


@given(SEGMENTS, st.data())
def test_after_the_ready_for_query_of_a_sync_nothing_is_owed(segments: list[list[Sent]], data: st.DataObject) -> None:
    pipeline = [one for segment in segments for one in (*segment, Sent(SYNC, FORWARD, fails=False))]
    expected = replies(pipeline, seen_only=True)
    outstanding, seen, answered = Outstanding(), "", 0
    for count, one in enumerate(pipeline, 1):
        payload = f"({one.kind:d})" if one.disposition is SUPPLY else None
        outstanding.expect(one.kind, one.disposition, payload)
        due = replies(pipeline[:count], seen_only=False)  # what the server would have said so far
        until = len(due) if count == len(pipeline) else data.draw(st.integers(answered, len(due)))
        seen += story(outstanding, due[answered:until].encode())
        answered = until
    assert seen == expected
    assert outstanding.idle
    assert not outstanding.skipping


@given(st.lists(st.tuples(st.sampled_from(Kind), st.sampled_from(Disposition)), max_size=8), st.binary(max_size=12))
def test_any_replies_are_accounted_for_or_a_protocol_error(
    entries: list[tuple[Kind, Disposition]], tags: bytes
) -> None:
    outstanding = Outstanding()
    for kind, disposition in entries:
        if kind is not SYNC or disposition is not SUPPLY:
            outstanding.expect(kind, disposition)
    try:
        story(outstanding, tags)
    except RemoteProtocolError:
        return
    assert len(outstanding.queue) <= len(entries)
