"""The demo's rule files are real ones: they load, name every tenant, and hold no password in the clear."""

from __future__ import annotations

import stat
from pathlib import Path

from proxy.auth.scram import parse_verifier
from proxy.demo.sample import BURST, CONNECTIONS, DATABASE, RATE, TENANTS, dsn, make_logins, write_rules
from proxy.tenancy.load import load


def test_every_tenant_has_its_login_key_and_verifier(tmp_path: Path) -> None:
    logins = make_logins()
    write_rules(tmp_path, 5432, "server-secret", logins)
    rules = load(tmp_path, {}, generation=1)
    assert tuple(one.tenant for one in logins) == TENANTS
    for number, login in enumerate(logins, 1):
        found = rules.login(login.name)
        assert found is not None
        granted = rules.grant(found, DATABASE)
        assert granted is not None
        assert granted.tenant == login.tenant
        assert granted.keys["default"] == str(number)
        quotas = granted.limits.connections, granted.limits.statements_per_second, granted.limits.statement_burst
        assert (quotas == (CONNECTIONS, RATE, BURST)) == (login.tenant == "initech")


def test_passwords_are_fresh_and_never_written_down(tmp_path: Path) -> None:
    logins = make_logins()
    assert {one.password for one in logins}.isdisjoint({one.password for one in make_logins()})
    write_rules(tmp_path, 5432, "server-secret", logins)
    text = (tmp_path / "shop.yaml").read_text(encoding="utf-8")
    assert "server-secret" not in text
    for login in logins:
        assert login.password not in text
        assert login.password in dsn(login, 6432)


def test_the_servers_password_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    write_rules(tmp_path, 5432, "server-secret", make_logins())
    mode = stat.S_IMODE((tmp_path / "server-password").stat().st_mode)
    assert mode == 0o600


def test_the_verifiers_are_of_the_stored_form_of_postgresql(tmp_path: Path) -> None:
    (login, *_) = logins = make_logins()
    write_rules(tmp_path, 5432, "server-secret", logins)
    text = (tmp_path / "shop.yaml").read_text(encoding="utf-8")
    assert text.count("SCRAM-SHA-256$4096:") == len(logins)
    assert parse_verifier(text.split('verifier: "')[1].split('"')[0]).iterations == 4096
    assert login.name in text
