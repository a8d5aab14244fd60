"""libpq 18, which psycopg brings along, and Debian's psql: what they negotiate before they may log in."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import trustme

from tests.kit.certificates import certify_proxy
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample

AUTHORITY = trustme.CA()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates, and where the Unix socket is."""
    found = tmp_path_factory.mktemp("tls")
    (found / "root.crt").write_bytes(AUTHORITY.cert_pem.bytes())
    (found / "other.crt").write_bytes(trustme.CA().cert_pem.bytes())
    return found


@pytest.fixture(scope="module")
def sockets() -> Iterator[Path]:
    """Where the proxy's Unix socket is to be; its path may have about a hundred bytes."""
    with TemporaryDirectory(prefix="partywall-") as short:
        yield Path(short)


@pytest.fixture(scope="module")
def secure(postgres15: Cluster, folder: Path, sockets: Path) -> Iterator[Proxy]:
    """A proxy that speaks TLS."""
    files = certify_proxy(folder, AUTHORITY)
    with running_proxy(load_sample(postgres15).port, **files, UNIX_SOCKET_DIRECTORY=str(sockets)) as running:
        psycopg.connect(running.dsn("acme_app")).close()  # who is let in by TCP finds the socket there, too
        yield running
    assert list(sockets.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ({}, 30000),
        ({"max_protocol_version": "3.0"}, 30000),
        ({"min_protocol_version": "3.2", "max_protocol_version": "3.2"}, 30002),
        ({"min_protocol_version": "3.0", "max_protocol_version": "latest"}, 30002),
    ],
)
def test_every_version_that_is_asked_for_is_spoken_and_can_be_cancelled(
    proxy: Proxy, asked: dict[str, Any], spoken: int
) -> None:
    with psycopg.connect(proxy.dsn("acme_app"), autocommit=True, **asked) as connection:
        assert connection.pgconn.full_protocol_version == spoken
        timer = threading.Timer(0.1, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            while True:  # a request that comes between two statements is for nothing
                connection.execute("SELECT pg_sleep(0.2)")
                if not timer.is_alive():
                    timer = threading.Timer(0.05, connection.cancel_safe)
                    timer.start()
        timer.join()
        assert connection.execute("SELECT pg_backend_pid()").fetchone() == (connection.info.backend_pid,)


@pytest.mark.parametrize(
    "parameters",
    [
        {"sslmode": "require"},
        {"sslmode": "verify-full"},
        {"sslmode": "verify-full", "channel_binding": "require"},
        {"sslmode": "verify-full", "sslnegotiation": "direct"},
        {"sslmode": "verify-full", "sslnegotiation": "direct", "channel_binding": "require"},
        {"sslmode": "verify-full", "require_auth": "scram-sha-256", "max_protocol_version": "latest"},
        {"sslmode": "require", "channel_binding": "disable"},
        {"sslmode": "disable", "channel_binding": "prefer"},
    ],
    ids=lambda one: "-".join(one.values()),
)
def test_every_way_into_tls_leads_in(secure: Proxy, folder: Path, parameters: dict[str, Any]) -> None:
    root = str(folder / "root.crt")
    with psycopg.connect(secure.dsn("acme_app"), sslrootcert=root, **parameters) as connection:
        assert connection.pgconn.ssl_in_use == (parameters["sslmode"] != "disable")
        assert connection.execute("SELECT DISTINCT tenant_id FROM orders").fetchall() == [(1,)]


def test_a_certificate_of_another_authority_is_not_believed(secure: Proxy, folder: Path) -> None:
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(secure.dsn("acme_app"), sslmode="verify-full", sslrootcert=str(folder / "other.crt"))


def test_a_binding_that_is_required_is_missed_without_tls(secure: Proxy) -> None:
    with pytest.raises(psycopg.OperationalError, match="channel binding"):
        psycopg.connect(secure.dsn("acme_app"), sslmode="disable", channel_binding="require")


def test_the_unix_socket_leads_in_without_tls(secure: Proxy, sockets: Path) -> None:
    dsn = secure.dsn("acme_app").replace("127.0.0.1", quote(str(sockets), safe=""))
    with psycopg.connect(dsn) as connection:
        assert not connection.pgconn.ssl_in_use
        assert connection.execute("SELECT DISTINCT tenant_id FROM orders").fetchall() == [(1,)]
        connection.cancel_safe()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn.replace(secure.passwords["acme_app"], "wrong"))


def test_psql_binds_its_channel(secure: Proxy, folder: Path) -> None:
    dsn = secure.dsn("acme_app") + f"?sslmode=verify-full&channel_binding=require&sslrootcert={folder / 'root.crt'}"
    done = subprocess.run(
        ["psql", "-X", "-A", "-t", "-c", "SELECT 1", dsn], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_reload_brings_the_new_certificate_and_ends_no_session(secure: Proxy, folder: Path) -> None:
    """Also when the next one cannot be used: then the old one stays."""
    strict: dict[str, Any] = {"sslmode": "verify-full", "channel_binding": "require"}
    other = trustme.CA()
    (folder / "new.crt").write_bytes(other.cert_pem.bytes())
    with psycopg.connect(secure.dsn("acme_app"), sslrootcert=str(folder / "root.crt"), **strict) as old:
        certify_proxy(folder, other)
        secure.reload_whole()
        with psycopg.connect(secure.dsn("acme_app"), sslrootcert=str(folder / "new.crt"), **strict) as new:
            (folder / "server.key").write_text("no key", encoding="ascii")
            secure.reload_refused()
            for one in (old, new):
                assert one.execute("SELECT 1").fetchone() == (1,)
        psycopg.connect(secure.dsn("acme_app"), sslrootcert=str(folder / "new.crt"), **strict).close()
        certify_proxy(folder, AUTHORITY)
        secure.reload_whole()
