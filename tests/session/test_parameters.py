"""Settings of a session: what is to be said to a server connection, and what a ceiling forbids."""

from __future__ import annotations

import pytest

from proxy.backend.state import BackendState
from proxy.session.parameters import Settings, difference, exceeds, milliseconds, quote_name, quote_value
from proxy.sql.plan import Effects, SettingEffect, TransactionVerb


def test_the_difference_is_what_turns_one_into_the_other_and_no_more() -> None:
    assert difference({"a": "1"}, {"a": "1"}) == ""
    assert difference({"a": "1"}, {}) == 'SET "a" TO 1'
    assert difference({}, {"a": "1"}) == 'RESET "a"'
    assert difference({"a": "2", "c": "3"}, {"a": "1", "b": "1"}) == 'RESET "b"; SET "a" TO 2; SET "c" TO 3'


def test_names_and_values_cannot_end_their_quotes() -> None:
    assert quote_name('a".b"; DROP') == '"a"""."b""; DROP"'
    assert quote_value("x'; DROP TABLE t --") == "'x''; DROP TABLE t --'"


@pytest.mark.parametrize(
    ("value", "length"),
    [
        ("10", 10),
        ("'10ms'", 10),
        ("10s", 10_000),
        (" 2 min ", 120_000),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
        ("5us", 0.005),
    ],
)
def test_a_timeout_is_read_as_the_server_reads_it(value: str, length: float) -> None:
    assert milliseconds(value) == pytest.approx(length)


@pytest.mark.parametrize("value", ["0", "-1", "nonsense", "", "1 fortnight", "31s", "1min"])
def test_none_at_all_and_what_cannot_be_read_are_longer_than_any_ceiling(value: str) -> None:
    assert exceeds(value, 30.0)


@pytest.mark.parametrize("value", ["30s", "'30000'", "1ms"])
def test_what_is_within_the_ceiling_may_be_set(value: str) -> None:
    assert not exceeds(value, 30.0)


def test_what_a_session_means_is_within_its_ceilings_and_goes_back_to_its_own_defaults() -> None:
    settings = Settings({"timezone": "'UTC'"}, {"statement_timeout": 2.0, "transaction_timeout": 3.0})
    meant = {
        ("statement_timeout", "'1s'"): "'1s'",
        ("statement_timeout", "0"): "2000",
        ("transaction_timeout", None): "3000",
        ("timezone", None): "'UTC'",
        ("work_mem", None): None,
        ("work_mem", "'1GB'"): "'1GB'",
    }
    assert {one: settings.meant(SettingEffect(*one)) for one in meant} == meant


def test_what_is_noted_is_what_was_sent_so_that_no_connection_gets_more_than_the_ceiling() -> None:
    settings = Settings({}, {"statement_timeout": 2.0})
    settings.note(Effects(settings=(SettingEffect("statement_timeout", "'10h'"),)), "SET")
    assert difference(settings.current, {}) == 'SET "statement_timeout" TO 2000'


def test_other_limits_leave_what_a_session_chose_within_them() -> None:
    settings = Settings({"statement_timeout": "9000"}, {"statement_timeout": 9.0})
    settings.note(Effects(settings=(SettingEffect("work_mem", "'1MB'"),)), "SET")
    settings.limit({"statement_timeout": "4000"}, {"statement_timeout": 4.0})
    assert settings.current == {"work_mem": "'1MB'", "statement_timeout": "4000"}
    settings.note(Effects(settings=(SettingEffect("statement_timeout", "3000"),)), "SET")
    settings.limit({"statement_timeout": "2000"}, {"statement_timeout": 2.0})
    assert settings.current["statement_timeout"] == "2000"
    settings.limit({}, {})
    assert settings.current == {"work_mem": "'1MB'"}


def test_other_limits_in_a_transaction_do_not_keep_what_it_sets_beyond_its_end() -> None:
    settings = Settings({"work_mem": "'1MB'"})
    settings.begin(fresh())
    settings.note(Effects(settings=(SettingEffect("timezone", "'UTC'"),)), "SET")
    settings.note(local("globex"), "SET")
    settings.limit({"work_mem": "'2MB'", "statement_timeout": "'1s'"}, {"statement_timeout": 1.0})
    assert settings.current == {
        "work_mem": "'2MB'", "timezone": "'UTC'", "search_path": "globex", "statement_timeout": "'1s'",
    }  # fmt: skip
    settings.note(verb(TransactionVerb.ROLLBACK), "ROLLBACK")
    assert settings.current == {"work_mem": "'2MB'", "statement_timeout": "'1s'"}


def fresh() -> BackendState:
    return BackendState(1, b"", {})


def local(value: str | None) -> Effects:
    return Effects(settings=(SettingEffect("search_path", value, local=True),))


def lasting(value: str | None) -> Effects:
    return Effects(settings=(SettingEffect("search_path", value),))


def verb(one: TransactionVerb, name: str = "s") -> Effects:
    return Effects(transaction=one, savepoint=name)


SAVEPOINT, ROLLBACK_TO = verb(TransactionVerb.SAVEPOINT), verb(TransactionVerb.ROLLBACK_TO)
COMMIT, ROLLBACK = verb(TransactionVerb.COMMIT), verb(TransactionVerb.ROLLBACK)


@pytest.mark.parametrize(
    ("effects", "within", "after"),
    [
        ((local("'a'"),), "'a'", None),
        ((local("'a'"), local("'b'")), "'b'", None),
        ((lasting("'a'"), local("'b'")), "'b'", "'a'"),
        ((local("'b'"), lasting("'a'")), "'a'", "'a'"),
        ((local("'b'"), lasting(None)), None, None),
        ((lasting("'a'"), local(None)), None, "'a'"),
        ((local("'a'"), SAVEPOINT, local("'b'"), ROLLBACK_TO), "'a'", None),
        ((SAVEPOINT, local("'b'"), ROLLBACK_TO), None, None),
        ((lasting("'a'"), SAVEPOINT, local("'b'"), lasting("'c'"), ROLLBACK_TO), "'a'", "'a'"),
        ((local("'b'"), SAVEPOINT, lasting("'c'"), ROLLBACK_TO), "'b'", None),
        ((local("'b'"), Effects(resets=True)), None, None),
    ],
)
def test_a_path_that_is_set_for_the_transaction_ends_with_it(
    effects: tuple[Effects, ...], within: str | None, after: str | None
) -> None:
    for end, tag, then in ((COMMIT, "COMMIT", after), (COMMIT, "ROLLBACK", None), (ROLLBACK, "ROLLBACK", None)):
        settings, state = Settings({}), fresh()
        settings.begin(state)
        for one in effects:
            settings.note(one, "")
        assert settings.current.get("search_path") == state.settings.get("search_path") == within
        settings.note(end, tag)
        assert settings.current.get("search_path") == state.settings.get("search_path") == then
        assert settings.under is None


def test_outside_of_a_block_it_ends_with_its_statement() -> None:
    settings, state = Settings({"search_path": "'mine'"}), fresh()
    state.settings = {"search_path": "'mine'"}
    settings.begin(state)
    settings.note(local("'a'"), "SET")
    settings.keep()
    assert settings.current == state.settings == {"search_path": "'mine'"}
    settings.note(local("'a'"), "SET")
    settings.state = None
    settings.uncover()
    assert settings.current == {"search_path": "'mine'"}


def test_another_setting_for_the_transaction_is_the_servers_alone() -> None:
    settings, state = Settings({}), fresh()
    settings.begin(state)
    settings.note(Effects(settings=(SettingEffect("work_mem", "'1MB'", local=True),)), "SET")
    assert settings.current == state.settings == {}
