"""Rules that cannot be served are refused before they are; the secret outlives the process."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.app.inputs import rules_of
from proxy.errors import ConfigurationError
from proxy.settings import load_settings
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample


@pytest.fixture
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


def test_the_secret_is_the_owners_alone_and_is_kept(proxy: Proxy) -> None:
    path = proxy.directory / "state" / "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32
    assert not [one for one in path.parent.iterdir() if one.name.startswith("secret.")]


async def test_a_certificate_that_nobody_could_show_is_refused_before_it_is_served(tmp_path: Path) -> None:
    text = (
        "database: shop\nserver: postgresql://a@b/c\ntenant_column: t\n---\ntenant: acme\nkey: 1\ndatabases: [shop]\n"
    )
    (tmp_path / "rules.yaml").write_text(text + "logins: {batch: {certificate: {dns: a}}}\n", encoding="utf-8")
    given = {"rules": tmp_path}
    with pytest.raises(ConfigurationError, match="tls_client_ca is not set, and the login batch has a certificate"):
        await rules_of(load_settings(None, given), {}, 1)
    more = {"tls_certificate": "a", "tls_key": "b", "tls_client_ca": "c"}
    assert (await rules_of(load_settings(None, given | more), {}, 1)).logins.keys() == {"batch"}
