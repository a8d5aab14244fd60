"""What the commands that ask have in common: where they ask, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.cli.asking import line
from tests.cli.conftest import TOKEN
from tests.kit.postgres import free_port
from tests.kit.proxy import Proxy


def test_where_nobody_serves_it_is_status_one_and_the_place_is_named(proxy: Proxy, tmp_path: Path) -> None:
    done = proxy.command("status", "--state-directory", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.strip() == f"{tmp_path}/control.sock: nobody serves there"


def test_elsewhere_is_asked_over_http_with_the_token(proxy: Proxy) -> None:
    at = f"http://127.0.0.1:{proxy.admin_port}"
    done = proxy.command("status", "--at", at, "--json", PARTYWALL_ADMIN_TOKEN=TOKEN)
    assert json.loads(done.stdout)["result"]["processes"][0]["pid"] == proxy.process.pid
    for token, why in ((None, "admin_token is not set"), ("another token of many", "401: the admin token is needed")):
        environment = {} if token is None else {"PARTYWALL_ADMIN_TOKEN": token}
        done = proxy.command("status", "--at", at, **environment)
        assert (done.returncode, done.stdout) == (1, "")
        assert why in done.stderr
    done = proxy.command("status", "--at", f"http://127.0.0.1:{free_port()}", PARTYWALL_ADMIN_TOKEN=TOKEN)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_the_settings_file_of_the_proxy_says_where_it_is(proxy: Proxy, tmp_path: Path) -> None:
    file = tmp_path / "partywall.toml"
    file.write_text(f'state_directory = "{proxy.directory / "state"}"\n', encoding="utf-8")
    done = proxy.command("status", "--config", str(file), PARTYWALL_STATE_DIRECTORY="")
    assert done.returncode == 1  # the environment beats the file
    assert proxy.command("status", "--config", str(file)).returncode == 0


@pytest.mark.parametrize(
    ("session", "text"),
    [
        ({"state": "ending"}, "  ending"),
        (
            {
                "process_id": 3, "tenant": "acme", "login": "a", "database": "d", "peer": "1.2.3.4:5",
                "state": "pinned", "pins": ["cursor", "temp_table"],
            },
            "  3  acme/a/d  1.2.3.4:5  pinned (cursor, temp_table)",
        ),
    ],
)  # fmt: skip
def test_a_session_is_a_line(session: dict[str, object], text: str) -> None:
    assert line(session) == text
