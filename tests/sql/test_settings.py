"""What a tenant may set and see: lists that deny by default."""

from __future__ import annotations

import pytest

from proxy.sql.settings import (
    PINNED,
    PINNED_TO,
    READABLE,
    SETTABLE,
    allowed_setting,
    own,
    pinned_value,
    settable,
    showable,
)

REFUSED = (
    "role session_authorization is_superuser log_statement log_min_messages session_preload_libraries "
    "local_preload_libraries dynamic_library_path temp_tablespaces default_tablespace zero_damaged_pages "
    "allow_system_table_mods ignore_system_indexes debug_print_plan track_activities no_such_setting "
    "rls.tenant partywall.tenant plpgsql.check_asserts postgis.gdal_datapath createrole_self_grant vacuum_cost_delay"
)


@pytest.mark.parametrize("name", REFUSED.split())
def test_what_could_reach_beyond_the_session_cannot_be_set(name: str) -> None:
    assert not settable(name)
    assert not settable(name.upper())
    assert not allowed_setting(name, "on")


@pytest.mark.parametrize("name", PINNED)
def test_what_is_pinned_takes_only_what_it_is(name: str) -> None:
    assert settable(name)
    assert all(allowed_setting(name, value) and allowed_setting(name.upper(), value) for value in PINNED[name])
    assert not allowed_setting(name, "pg_temp, evil")
    assert pinned_value(name) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_encoding", "UTF-8"), ("client_encoding", "utf 8"), ("client_encoding", "Unicode"),
        ("standard_conforming_strings", "tru"), ("standard_conforming_strings", "Y"), ("row_security", "1"),
        ("search_path", '"$user",  public'), ("search_path", ' "public" '), ("transform_null_equals", "of"),
        ("transform_null_equals", "n"), ("plan_cache_mode", "AUTO"),
    ],
)  # fmt: skip
def test_a_value_is_the_pinned_one_in_every_spelling_that_postgresql_takes(name: str, value: str) -> None:
    assert allowed_setting(name, value)


@pytest.mark.parametrize("value", ["o", "on1", "truex", "2", "public", "yes no"])
def test_what_is_no_boolean_is_not_the_pinned_one(value: str) -> None:
    assert not allowed_setting("row_security", value)
    assert not allowed_setting("transform_null_equals", value)


@pytest.mark.parametrize("value", ["off", "false", "no", "0", "f", "of", ""])
def test_row_security_and_string_syntax_cannot_be_turned_off(value: str) -> None:
    assert not allowed_setting("row_security", value)
    assert not allowed_setting("standard_conforming_strings", value)


@pytest.mark.parametrize("value", ["debug1", "DEBUG5", " log ", "info"])
def test_messages_below_notice_are_not_sent_because_they_tell_of_the_rewriting(value: str) -> None:
    assert not allowed_setting("client_min_messages", value)
    assert allowed_setting("client_min_messages", "warning")


def test_a_value_is_text_of_bounded_length() -> None:
    assert allowed_setting("application_name", "x" * 1000)
    assert not allowed_setting("application_name", "x" * 1001)
    assert not allowed_setting("application_name", "x\0y")


@pytest.mark.parametrize("name", ["my.var", "my.var.deep", "app_1.user$id"])
def test_two_part_names_of_nobody_are_the_sessions_own(name: str) -> None:
    assert own(name)
    assert settable(name)
    assert showable(name)


@pytest.mark.parametrize(
    "name",
    ["data_directory", "config_file", "hba_file", "log_directory", "max_connections", "primary_conninfo", "port"],
)
def test_facts_about_the_server_that_no_driver_needs_are_not_shown(name: str) -> None:
    assert not showable(name)


def test_the_lists_are_lower_case_and_agree() -> None:
    every = {*SETTABLE, *PINNED, *READABLE}
    assert every == {name.lower() for name in every}
    assert PINNED_TO.keys() == PINNED.keys()
    assert not SETTABLE & PINNED.keys()
