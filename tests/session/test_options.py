"""What a startup packet may ask for, and what is refused of it."""

from __future__ import annotations

import pytest

from proxy.session.actions import FindLogin
from proxy.session.options import check_encoding, options, path, split_options
from proxy.session.session import ClientSession
from tests.session.conftest import Door, log_in, packet, refused


@pytest.mark.parametrize(
    ("parameters", "sqlstate"),
    [
        ({"database": "test"}, "28000"),
        ({"user": "alice", "replication": "database"}, "0A000"),
        ({"user": "alice", "client_encoding": "SQL_ASCII"}, "0A000"),
        ({"user": "alice", "client_encoding": "LATIN1"}, "0A000"),
        ({"user": "alice", "options": "--role=postgres"}, "42501"),
        ({"user": "alice", "options": "-c work_mem"}, "42601"),
    ],
)
def test_what_the_proxy_cannot_keep_for_a_client_is_refused_and_never_dropped(
    fresh: ClientSession, door: Door, parameters: dict[str, str], sqlstate: str
) -> None:
    fresh.data(packet(196608, **parameters))
    assert refused(door)["C"] == sqlstate
    assert door.asked(FindLogin) == []


def test_options_are_read_as_the_server_reads_them() -> None:
    assert split_options(r"-c a=b\ c  -cx=y\\z") == ["-c", "a=b c", r"-cx=y\z"]
    assert options(r"-c work-mem=8MB -cstatement_timeout=5s") == {"work_mem": "8MB", "statement_timeout": "5s"}


@pytest.mark.parametrize("name", ["UTF8", "utf-8", "'UTF8'", "Unicode"])
def test_every_spelling_of_utf8_is_taken(name: str) -> None:
    check_encoding(name)


@pytest.mark.parametrize("value", ["evil", "a, b", "pg_temp"])
@pytest.mark.parametrize("name", ["search_path", "role"])
def test_what_a_tenant_may_not_set_is_refused_once_it_was_let_in(
    fresh: ClientSession, door: Door, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setattr(door, "allowed_setting", lambda one, _: one != name)
    log_in(fresh, door, asked_for={name: value})
    assert refused(door)["C"] == "42501"


def test_a_search_path_that_a_tenant_may_have_becomes_a_list_of_names(fresh: ClientSession, door: Door) -> None:
    log_in(fresh, door, asked_for={"options": r'-c search_path=One,\ "Two",three'})
    assert fresh.settings.current["search_path"] == "'one', 'Two', 'three'"


@pytest.mark.parametrize(
    ("value", "written"), [("", "''"), ('a, "b""c", D', "'a', 'b\"c', 'd'"), ('"$user",public', "'$user', 'public'")]
)
def test_lists_of_schemas_are_split_as_the_server_splits_them(value: str, written: str) -> None:
    assert path(value) == written


def test_what_was_asked_for_is_sql_text_for_as_long_as_the_session_lives(fresh: ClientSession, door: Door) -> None:
    log_in(fresh, door, asked_for={"datestyle": "ISO; DROP TABLE x", "extra_float_digits": "2"})
    assert fresh.startup == {"datestyle": "'ISO; DROP TABLE x'", "extra_float_digits": "'2'"}
    assert fresh.settings.defaults == fresh.startup  # new limits are reckoned with these
