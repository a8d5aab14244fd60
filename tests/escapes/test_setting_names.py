"""What a session called its own settings is nobody else's to know: the server keeps a name until its connection ends,
also on connections to which the settings only followed the session.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        yield proxy


@pytest.mark.parametrize("login", ["acme_app", "globex_app"])
@pytest.mark.parametrize("at_start", [False, True])
def test_the_name_of_a_setting_is_not_left_to_the_next_session(proxy: Proxy, at_start: bool, login: str) -> None:
    begun = {"options": "-c my.name=5"} if at_start else {}
    with proxy.connect("acme_app", **begun) as client:
        if not at_start:
            assert client.simple("SET my.name = '5'").errors == []
        for _ in range(3):  # each on another server connection
            assert client.simple("SHOW my.name").rows == [(b"5",)]
    with proxy.connect(login) as client:
        assert client.simple("SELECT current_setting('my.name', true)").rows == [(None,)]
