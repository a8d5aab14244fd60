"""Process settings: command line beats environment beats file, and every mistake is told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.settings import Address, Settings, SettingsRefused, load_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("PARTYWALL_")]:
        monkeypatch.delenv(name)


def test_without_any_the_proxy_listens_on_loopback() -> None:
    settings = load_settings(None, {})
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 6432)
    assert (settings.admin_listen.host, settings.admin_listen.port) == ("127.0.0.1", 6433)
    assert settings.rules == Path("rules")


def test_command_line_beats_environment_beats_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "partywall.toml"
    file.write_text('listen = "h:1"\nadmin_listen = "h:2"\nmax_client_connections = 3\n[log]\nformat = "console"\n')
    monkeypatch.setenv("PARTYWALL_ADMIN_LISTEN", "e:4")
    monkeypatch.setenv("PARTYWALL_LISTEN", "e:5")
    settings = load_settings(file, {"listen": "[::1]:6"})
    assert settings.listen == Address(host="::1", port=6)
    assert settings.admin_listen == Address(host="e", port=4)
    assert (settings.max_client_connections, settings.log.format) == (3, "console")


def test_every_mistake_is_told_at_once_by_the_name_people_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTYWALL_LISTEN", "nonsense")
    monkeypatch.setenv("PARTYWALL_LOG__LEVEL", "loud")
    with pytest.raises(SettingsRefused) as refused:
        load_settings(None, {"max_client_connections": 0})
    text = "\n".join(refused.value.problems)
    assert all(
        name in text for name in ("PARTYWALL_LISTEN", "PARTYWALL_LOG__LEVEL", "PARTYWALL_MAX_CLIENT_CONNECTIONS")
    )


def test_an_unknown_setting_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "partywall.toml"
    with pytest.raises(SettingsRefused, match="no such file"):
        load_settings(file, {})
    file.write_text("listne = 1\n")
    with pytest.raises(SettingsRefused, match="LISTNE"):
        load_settings(file, {})


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(SettingsRefused, match="belong together"):
        load_settings(None, {"tls_certificate": "x.pem"})
    with pytest.raises(SettingsRefused, match="tls_client_ca needs tls_certificate"):
        load_settings(None, {"tls_client_ca": "x.pem"})
    with pytest.raises(SettingsRefused, match="tls_client_crl needs tls_client_ca"):
        load_settings(None, {"tls_certificate": "x.pem", "tls_key": "x.key", "tls_client_crl": "x.pem"})


def test_the_secret_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTYWALL_SECRET", "sixteen-or-more-characters")
    settings = load_settings(None, {})
    assert settings.secret is not None
    assert "sixteen" not in repr(settings) + str(settings) + settings.model_dump_json()
    monkeypatch.setenv("PARTYWALL_SECRET", "short-one")
    with pytest.raises(SettingsRefused) as refused:
        load_settings(None, {})
    assert "short-one" not in str(refused.value)


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, one in Settings.model_fields.items() if not one.description and name != "log"] == []


def test_balancers_are_a_list_in_the_file_and_words_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "partywall.toml"
    file.write_text('proxy_protocol_from = ["10.0.0.0/8", "local"]\n')
    assert load_settings(file, {}).proxy_protocol_from == ("10.0.0.0/8", "local")
    monkeypatch.setenv("PARTYWALL_PROXY_PROTOCOL_FROM", "10.0.1.7, 2001:db8::/32")
    assert load_settings(file, {}).proxy_protocol_from == ("10.0.1.7", "2001:db8::/32")
    monkeypatch.setenv("PARTYWALL_PROXY_PROTOCOL_FROM", "10.0.0.1/8")
    with pytest.raises(SettingsRefused, match=r"PROXY_PROTOCOL_FROM: .*10\.0\.0\.1/8 is no address"):
        load_settings(file, {})


@pytest.mark.parametrize(
    ("url", "fit"),
    [
        ("https://10.0.0.2:6433", True),
        ("http://127.0.0.1:6433", True),
        ("http://localhost:6433", True),
        ("http://[::1]:6433", True),
        ("http://10.0.0.2:6433", False),
        ("http://127.0.0.1.example.com:6433", False),
        ("http://localhost@10.0.0.2:6433", False),
        ("http://127.0.0.1:6433@10.0.0.2", False),
        ("ftp://127.0.0.1", False),
    ],
)
def test_peers_of_other_machines_are_asked_by_https_only(url: str, fit: bool) -> None:
    if fit:
        assert load_settings(None, {"peers": {7: url}}).peers == {7: url}
        return
    with pytest.raises(SettingsRefused, match="the admin token is not sent unencrypted to another machine"):
        load_settings(None, {"peers": {7: url}})
