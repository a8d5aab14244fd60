"""Where an operator's command goes, and as whom."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from proxy.cli.operator import grant_of, place_for, told
from proxy.errors import ConfigurationError
from proxy.settings import load_settings
from proxy.tenancy.policy import Credentials
from tests.kit.rules import write_sample_rules


def test_the_place_is_the_rules_and_the_role_the_operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sample_rules(tmp_path, 5432, "shared")
    grant = asyncio.run(grant_of(tmp_path, "acme", "shared"))
    assert place_for(grant, None, load_settings(None, {})) == (grant.server, grant.credentials)
    settings = load_settings(None, {"operator_role": "keeper", "operator_password": "kept"})
    server, credentials = place_for(grant, None, settings)
    assert server == replace(grant.server, role="keeper")
    assert credentials == replace(grant.credentials, password="kept")
    monkeypatch.setenv("PGPASSWORD", "other")
    server, credentials = place_for(grant, "postgresql://me@db.example:5433/shop?sslmode=disable", settings)
    assert (server.role, server.host, server.port, server.database) == ("me", "db.example", 5433, "shop")
    assert credentials == Credentials("other", "disable")


def test_a_servers_error_is_a_reason_and_a_bug_is_none() -> None:
    with pytest.raises(ConfigurationError) as refused, told("backup"):
        raise ExceptionGroup("tasks", [ExceptionGroup("task", [asyncpg.InsufficientPrivilegeError("denied")])])
    assert refused.value.problems[0] == "backup: denied"
    with pytest.raises(ConfigurationError) as refused, told("backup"):
        raise ExceptionGroup("tasks", [ConfigurationError(["as it is"])])
    assert refused.value.problems == ["as it is"]
    with pytest.raises(ExceptionGroup), told("backup"):
        raise ExceptionGroup("tasks", [ZeroDivisionError()])
    with pytest.raises(ConfigurationError) as refused, told("backup"):
        raise TimeoutError
    assert refused.value.problems == ["backup: TimeoutError"]
