"""What one server connection has that another has not; whatever is unknown taints it."""

from __future__ import annotations

import pytest

from proxy.backend.state import PINNED_PARAMETERS, BackendState


@pytest.fixture
def state() -> BackendState:
    return BackendState(7, b"key!", dict.fromkeys(PINNED_PARAMETERS, "as it was"), limit=2)


@pytest.mark.parametrize("name", PINNED_PARAMETERS)
def test_a_pinned_parameter_that_changes_taints_the_connection(state: BackendState, name: str) -> None:
    assert state.parameter(name, "as it was")
    assert state.tainted is None
    assert not state.parameter(name, "other")
    assert state.tainted == f"{name} changed"


def test_any_other_parameter_may_change(state: BackendState) -> None:
    assert state.parameter("TimeZone", "UTC")
    assert state.parameter("TimeZone", "Asia/Tokyo")
    assert state.tainted is None


def test_news_are_what_was_reported_since_and_no_setting_decides(state: BackendState) -> None:
    assert state.news().keys() == set(PINNED_PARAMETERS)
    state.settings = {"timezone": "'Asia/Tokyo'"}
    state.parameter("TimeZone", "Asia/Tokyo")
    state.parameter("IntervalStyle", "iso_8601")
    assert state.news() == {"IntervalStyle": "iso_8601"}
    assert state.news() == {}


def test_what_a_transaction_set_for_itself_is_no_news(state: BackendState) -> None:
    state.parameter("TimeZone", "UTC")
    assert state.news()["TimeZone"] == "UTC"
    state.parameter("TimeZone", "Asia/Tokyo")
    state.parameter("TimeZone", "UTC")
    assert state.news() == {}


def test_the_first_reason_of_a_taint_is_kept(state: BackendState) -> None:
    state.taint("first")
    state.taint("second")
    assert state.tainted == "first"


def test_names_at_the_server_are_never_used_twice(state: BackendState) -> None:
    one = state.prepare((b"SELECT 1", (), 0))
    assert state.name_of((b"SELECT 1", (), 0)) == one
    assert state.name_of((b"SELECT 1", (23,), 0)) is None
    assert state.unprepare((b"SELECT 1", (), 0)) == one
    assert state.name_of((b"SELECT 1", (), 0)) is None
    assert state.prepare((b"SELECT 1", (), 0)) != one


def test_the_least_recently_used_statements_are_surplus(state: BackendState) -> None:
    names = [state.prepare((b"%d" % number, (), 0)) for number in range(3)]
    state.name_of((b"0", (), 0))
    assert state.surplus() == [names[1]]
    assert state.surplus() == []


def test_only_what_pins_must_be_undone_and_then_everything_is_forgotten(state: BackendState) -> None:
    state.settings = {"work_mem": "'1MB'"}
    assert state.undo() is None
    state.pins.add("temp")
    state.prepare((b"x", (), 0))
    assert state.undo() == b"DISCARD ALL"
    state.forget()
    assert (dict(state.settings), list(state.prepared), state.unnamed, state.pins) == ({}, [], None, set())


def test_numbers_that_were_drawn_are_forgotten_at_check_in(state: BackendState) -> None:
    assert state.undo() is None
    state.drawn = True
    assert state.undo() == b"DISCARD SEQUENCES"
    state.pins.add("listen")
    assert state.undo() == b"DISCARD ALL"
    state.forget()
    assert state.undo() is None
