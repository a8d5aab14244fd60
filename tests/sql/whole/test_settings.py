"""On a database of its own a session may set what the server lets it, but for what the proxy reads texts by."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.sql.plan import UNTRACKED, Answer, AnswerKind, Forward, Plan, Reject, SettingEffect
from proxy.sql.whole.settings import allowed, allowed_setting
from tests.sql.whole.conftest import POLICY
from tests.sql.worlds import sample_policy

Plans = Callable[..., tuple[Plan, ...]]


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ('SET search_path TO one, "Two"', SettingEffect("search_path", "'one', 'Two'")),
        ("SET plan_cache_mode = force_generic_plan", SettingEffect("plan_cache_mode", "'force_generic_plan'")),
        ("SET LOCAL Work_Mem = 64", SettingEffect("work_mem", "64", local=True)),
        ("SET extra_float_digits = 0.5", SettingEffect("extra_float_digits", "0.5")),
        ("SET ROLE reader", SettingEffect("role", "'reader'")),
        ("RESET search_path", SettingEffect("search_path", None)),
        ("SET TIME ZONE DEFAULT", SettingEffect("timezone", None)),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            SettingEffect("default_transaction_read_only", "'on'"),
        ),
        ("SELECT set_config('search_path', 'one', false)", SettingEffect("search_path", "'one'")),
        ("SELECT set_config('search_path', $1, false)", SettingEffect("search_path", None, parameter=1)),
    ],
)
def test_what_is_set_belongs_to_the_session(plans: Plans, text: str, effect: SettingEffect) -> None:
    (plan,) = plans(text)
    assert isinstance(plan, Forward)
    assert plan.effects.settings == (effect,)
    assert plan.effects.pins is None
    assert plan.template.pieces == (text.encode(),)


@pytest.mark.parametrize(
    "text",
    [
        "SET client_encoding TO latin1",
        "SET standard_conforming_strings = off",
        "SET SESSION AUTHORIZATION other",
        "SELECT set_config('client_encoding', 'UTF8', false)",
        "SELECT set_config('standard_conforming_strings', $1, false)",
    ],
)
def test_what_texts_are_read_by_stays_as_it_is(plans: Plans, text: str) -> None:
    (plan,) = plans(text)
    assert isinstance(plan, Reject)
    assert plan.sqlstate == "42501"


@pytest.mark.parametrize(
    "text",
    [
        "SET client_encoding TO 'UTF8'",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET transaction_read_only = on",
        "RESET client_encoding",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SET TRANSACTION SNAPSHOT '1'",
    ],
)
def test_what_ends_with_the_transaction_or_says_nothing_new_is_not_kept(plans: Plans, text: str) -> None:
    (plan,) = plans(text)
    assert isinstance(plan, Forward)
    assert plan.effects.settings == ()


@pytest.mark.parametrize(
    "text",
    [
        "SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE",
        "SET seed = 0.5",
        "SELECT set_config('seed', '0.5', false)",
        "SELECT set_config('a' || 'b', 'c', false)",
    ],
)
def test_what_the_proxy_cannot_set_again_keeps_the_connection(plans: Plans, text: str) -> None:
    (plan,) = plans(text)
    assert isinstance(plan, Forward)
    assert plan.effects.pins == UNTRACKED


def test_a_setting_of_the_sessions_own_closes_its_connection_as_in_row_mode(plans: Plans) -> None:
    for text in ("SET my.name = 1", "RESET my.name", "SELECT set_config('my.name', 'x', false)", "SET rls.name = 1"):
        (plan,) = plans(text)
        assert isinstance(plan, Forward)
        assert plan.effects.taints


def test_reset_all_is_the_sessions(plans: Plans) -> None:
    (plan,) = plans("RESET ALL")
    assert isinstance(plan, Answer)
    assert plan.answer is AnswerKind.RESET_ALL


def test_each_mode_has_its_own_list() -> None:
    assert allowed("search_path", "anything")
    assert not allowed("search_path", "x" * 9000)
    assert allowed_setting(POLICY, "search_path", "anything")
    assert not allowed_setting(POLICY, "Seed", "0.5")  # which no other connection could be given again
    assert not allowed_setting(sample_policy(), "search_path", "anything")
