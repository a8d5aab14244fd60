"""What rule files say about backups: mistakes are found at once, and a tenant's keys beat its database's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.errors import ConfigurationError
from proxy.tenancy.backups import Backups, rule_of
from proxy.tenancy.load import load
from proxy.tenancy.models import InvalidDocument, document
from proxy.tenancy.policy import BackupRule, Keep

KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
RULES = """\
database: shop
server: postgresql://app@db/shop
tenant_column: tenant_id
{default}
---
tenant: acme
key: 1
databases: [shop]
{own}
---
tenant: globex
key: 2
databases: [shop]
"""


def book_of(folder: Path, default: str = "", own: str = "") -> Any:
    (folder / "rules.yaml").write_text(RULES.format(default=default, own=own), "utf-8")
    return load(folder, {}, 1)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"schedule": "0 2 * *"}, "must have five fields"),
        ({"schedule": "0 0 2 * * *"}, "must have five fields"),
        ({"schedule": "0 25 * * *"}, "Bad hour"),
        ({"schedule": "0 0 31 2 *"}, "Bad day-of-month"),
        ({"to": "backups"}, "must be a URL, or a folder's path from the root"),
        ({"to": "/{year}/{tenant}"}, "must name a folder in front of the time"),
        ({"to": "/b/{login}"}, "places are database, day, month, tenant, year"),
        ({"to": "/b/{tenant!r}"}, "places are"),
        ({"to": "/b/{tenant"}, "a brace is neither a place nor doubled"),
        ({"to": "ftp://me:secret@host/b"}, "a password does not belong into a URL"),
        ({"recipients": [KEY[:-1]]}, "is no age recipient"),
        ({"keep": {"least": 0}}, "greater than or equal to 1"),
        ({"keep": {"daily": -1}}, "greater than or equal to 0"),
        ({"keep": {"yearly": 1}}, "unknown key"),
        ({"to": "/b"}, "must say schedule"),
        ({"schedule": "0 2 * * *"}, "must say to"),
    ],
)
def test_a_mistake_is_told_when_the_rules_are_read(given: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        document("database", {"database": "d", "server": "postgresql://a@b/c", "tenant_column": "t", "backups": given})
    text = str(caught.value.mistakes)
    assert why in text
    assert "secret" not in text


def test_a_tenants_keys_stand_instead_of_its_databases_each_by_itself() -> None:
    default = Backups.model_validate(
        {"schedule": "0  2 * * *", "to": "file:///b/{tenant}/", "recipients": [KEY], "keep": {"daily": 7}}
    )
    assert rule_of(None, default) == BackupRule("0 2 * * *", "/b/{tenant}", (KEY,), Keep(daily=7, least=3))
    own = Backups.model_validate({"schedule": "0 * * * *", "recipients": []})
    assert rule_of(default, own) == BackupRule("0 * * * *", "/b/{tenant}", (), Keep(daily=7, least=3))
    assert rule_of(None, None) is None


def test_every_tenant_has_its_databases_rule_or_its_own_or_none(tmp_path: Path) -> None:
    default = 'backups: {schedule: "0 2 * * *", to: "/b/{tenant}"}'
    book = book_of(tmp_path, default)
    assert set(book.backups) == {("acme", "shop"), ("globex", "shop")}
    assert book.backups["acme", "shop"] is book.backups["globex", "shop"]
    assert set(book_of(tmp_path, default, "backups: false").backups) == {("globex", "shop")}
    assert set(book_of(tmp_path, default, "canary: true").backups) == {("globex", "shop")}
    whole = book_of(tmp_path, "", 'backups: {schedule: "5 * * * *", to: "s3://b/acme"}')
    assert whole.backups == {("acme", "shop"): BackupRule("5 * * * *", "s3://b/acme")}
    assert book_of(tmp_path).backups == {}


def test_a_tenants_rule_that_is_not_whole_is_a_mistake_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        book_of(tmp_path, "", "backups: {keep: {daily: 7}}")
    (problem,) = caught.value.problems
    assert problem.endswith("rules.yaml:9: backups: must say schedule and to")
    with pytest.raises(ConfigurationError, match="a canary has no rows, and no backups"):
        book_of(tmp_path, "", "canary: true\nbackups: {keep: {daily: 7}}")
