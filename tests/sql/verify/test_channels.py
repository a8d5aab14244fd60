"""A command about a channel is proved only when the channel is the tenant's own for the client's name."""

from __future__ import annotations

import hashlib

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.verify import verify_channel
from proxy.sql.verify.channels import check_channel

KEYS = {"$seed": "a seed"}
OWN = "pw_" + hashlib.sha256(b"a seedcjobs").hexdigest()[:60]


def test_the_tenants_own_channel_is_proved() -> None:
    for text in (f'NOTIFY "{OWN}"', f"NOTIFY \"{OWN}\", 'payload'"):
        check_channel(text, "jobs", KEYS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NOTIFY jobs", "jobs"),
        (f'NOTIFY "{OWN}"', "other"),
        (f'NOTIFY "{OWN}"; NOTIFY jobs', "jobs"),
        (f'LISTEN "{OWN}"', "jobs"),
        ("UNLISTEN *", "jobs"),
        (f'NOTIFY "{OWN[:-1]}"', "jobs"),
        ("SELECT 1", "jobs"),
    ],
)
def test_nothing_else_is(text: str, name: str) -> None:
    with pytest.raises(FeatureNotSupported):
        verify_channel(text, name, KEYS)


def test_another_seed_is_another_channel() -> None:
    with pytest.raises(FeatureNotSupported):
        verify_channel(f'NOTIFY "{OWN}"', "jobs", {"$seed": "another"})
