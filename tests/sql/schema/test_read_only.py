"""No transaction of a login that only reads may write, however that is asked for."""

from __future__ import annotations

import pytest

from proxy.errors import InsufficientPrivilege
from proxy.sql.plan import SettingEffect
from proxy.sql.schema.read_only import check_effects
from tests.kit.schemas import Beside


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN READ WRITE",
        "START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ WRITE",
        "SET TRANSACTION READ WRITE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET transaction_read_only = off",
        "SET LOCAL Default_Transaction_Read_Only TO 'no'",
        "SET default_transaction_read_only TO DEFAULT",
        "RESET default_transaction_read_only",
        "RESET transaction_read_only",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT set_config('default_transaction_read_only', $1, false)",
    ],
)
def test_what_would_make_one_that_writes_is_refused(reading: Beside, text: str) -> None:
    assert reading.refused(text)[0] == "42501"


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN",
        "BEGIN READ ONLY",
        "SET TRANSACTION READ ONLY, DEFERRABLE",
        "SET default_transaction_read_only = on",
        "SET transaction_read_only TO true",
        "SELECT set_config('default_transaction_read_only', 'on', false)",
        "SET work_mem = '5MB'",
        "RESET work_mem",
    ],
)
def test_what_does_not_is_sent(reading: Beside, beside: Beside, text: str) -> None:
    assert reading.sent(text) == beside.sent(text)


def test_a_value_that_is_not_known_is_none() -> None:
    check_effects((SettingEffect("default_transaction_read_only", "'on'"), SettingEffect("work_mem", None)))
    with pytest.raises(InsufficientPrivilege):
        check_effects((SettingEffect("transaction_read_only", None, parameter=1),))
