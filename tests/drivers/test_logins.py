"""Every way to log in, with the clients that people have: psql, psycopg, asyncpg, libpq 18, over TLS."""

from __future__ import annotations

import datetime as dt
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from proxy.auth.scram import build_verifier
from tests.kit.certificates import certify_proxy
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample
from tests.kit.tokens import AUDIENCE, URL, key, key_set, token

OLD, NEW, OTHER = (build_verifier(one, b"0123456789abcdef", 4096) for one in ("old-pass", "new-pass", "other-pass"))
RULES = f"""\
tenant: staff
databases: [shared]
keys: {{default: 77, slug: staff, uid: 00000000-0000-4000-8000-000000000077}}
logins:
  rotating: {{verifier: ["{OLD}", "{NEW}"]}}
  expired: {{verifier: "{OTHER}", valid_until: 2020-01-01 00:00:00+00:00}}
  disabled: {{verifier: "{OTHER}", disabled: true}}
  elsewhere: {{verifier: "{OTHER}", allow_from: [192.0.2.0/24, local]}}
  here: {{verifier: "{OTHER}", allow_from: [127.0.0.0/8, "::1"]}}
  batch: {{certificate: {{common_name: batch}}}}
  both: {{verifier: "{OTHER}", certificate: {{email: both@acme.example}}}}
  alice@password.example: {{token: alice}}
  alice@bearer.example: {{token: alice}}
---
issuer: {URL}
audience: {AUDIENCE}
suffix: "@password.example"
keys: ${{file:keys.jwks}}
---
issuer: {URL}/bearer
audience: {AUDIENCE}
suffix: "@bearer.example"
method: oauthbearer
scope: openid
keys: ${{file:keys.jwks}}
"""

# libpq 18 asks a hook for the token, as an application's own flow does.
LIBPQ = """
import ctypes, sys
library, conninfo, token = sys.argv[1:]
libpq = ctypes.CDLL(library)

class Request(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("configuration", "scope", "poll", "cleanup", "token", "user")]

@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def hook(kind, connection, data):
    if kind != 1:
        return 0
    request = ctypes.cast(data, ctypes.POINTER(Request)).contents
    print(ctypes.string_at(request.configuration).decode(), ctypes.string_at(request.scope).decode())
    request.token = ctypes.cast(buffer, ctypes.c_void_p).value
    return 1

buffer = ctypes.create_string_buffer(token.encode())
libpq.PQsetAuthDataHook(hook)
libpq.PQconnectdb.restype = ctypes.c_void_p
libpq.PQerrorMessage.restype = ctypes.c_char_p
connection = ctypes.c_void_p(libpq.PQconnectdb(conninfo.encode()))
print(libpq.PQstatus(connection), libpq.PQerrorMessage(connection).decode())
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A proxy with TLS and these logins; its root certificate, and a folder of clients' certificates."""

    proxy: Proxy
    root: Path
    folder: Path

    def shows(self, name: str) -> dict[str, object]:
        """Parameters of a client with that certificate."""
        return {"sslcert": self.folder / f"{name}.crt", "sslkey": self.folder / f"{name}.key"}

    def dsn(self, user: str, **more: object) -> str:
        given = {"host": "localhost", "port": self.proxy.port, "user": user, "dbname": "shared"}
        given |= {"sslmode": "verify-full", "sslrootcert": self.root, "connect_timeout": 20} | more
        return " ".join(f"{name}='{value}'" for name, value in given.items())

    async def asyncpg(self, user: str, password: str | None, shown: str = "") -> asyncpg.Connection[asyncpg.Record]:
        context = ssl.create_default_context(cafile=self.root)
        if shown:
            context.load_cert_chain(self.folder / f"{shown}.crt", self.folder / f"{shown}.key")
        return await asyncpg.connect(
            host="localhost", port=self.proxy.port, database="shared", user=user, password=password, ssl=context
        )

    def psql(self, user: str, password: str, **more: object) -> str:
        """What psql says to a question, or of its failure."""
        done = subprocess.run(
            ["psql", "-XAt", "-d", self.dsn(user, **more), "-c", "SELECT 'in'"],
            env=os.environ | {"PGPASSWORD": password},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return (done.stdout or done.stderr).strip()


def certify(folder: Path) -> None:
    """Certificates of clients: of an authority that the proxy knows, of another, and one that is revoked."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "clients.crt")
    made = {
        "batch": authority.issue_cert("batch.example", common_name="batch"),
        "both": authority.issue_cert("both@acme.example"),
        "revoked": authority.issue_cert("batch.example", common_name="batch"),
        "foreign": other.issue_cert("batch.example", common_name="batch"),
    }
    for name, one in made.items():
        (folder / f"{name}.crt").write_bytes(b"".join(part.bytes() for part in one.cert_chain_pems))
        (folder / f"{name}.key").write_bytes(one.private_key_pem.bytes())
        (folder / f"{name}.key").chmod(0o600)
    revoked = x509.load_pem_x509_certificate((folder / "revoked.crt").read_bytes())
    now = dt.datetime.now(dt.UTC)
    entry = x509.RevokedCertificateBuilder(revoked.serial_number, now).build()
    listed = x509.CertificateRevocationListBuilder(revoked.issuer, now, now + dt.timedelta(days=1), [], [entry])
    key: Any = load_pem_private_key(authority.private_key_pem.bytes(), None)
    (folder / "clients.crl").write_bytes(listed.sign(key, SHA256()).public_bytes(Encoding.PEM))


@pytest.fixture(scope="module")
def place(postgres15: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "root.crt")
    files = certify_proxy(folder, authority)
    files |= {"TLS_CLIENT_CA": str(folder / "clients.crt"), "TLS_CLIENT_CRL": str(folder / "clients.crl")}
    certify(folder)
    with running_proxy(load_sample(postgres15).port, **files) as proxy:
        rules = proxy.directory / "rules"
        (rules / "keys.jwks").write_text(key_set(key()), encoding="utf-8")
        (rules / "staff.yaml").write_text(RULES, encoding="utf-8")
        proxy.reload_whole()
        yield Place(proxy, folder / "root.crt", folder)


def fresh(**claims: Any) -> str:
    """A token of now."""
    now = int(time.time())
    return token(**{"iat": now, "exp": now + 600, **claims})


def failed(user: str) -> str:
    return f'password authentication failed for user "{user}"'


@pytest.mark.parametrize("password", ["old-pass", "new-pass"])
async def test_during_a_rotation_both_passwords_pass(place: Place, password: str) -> None:
    assert place.psql("rotating", password) == "in"
    with psycopg.connect(place.dsn("rotating", password=password)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    opened = await place.asyncpg("rotating", password)
    assert await opened.fetchval("SELECT 1") == 1
    await opened.close()


@pytest.mark.parametrize("user", ["expired", "disabled", "elsewhere", "nobody", "nobody@elsewhere.example"])
def test_who_may_not_come_in_is_told_what_a_wrong_password_is_told(place: Place, user: str) -> None:
    assert failed(user) in place.psql(user, "other-pass")
    assert place.psql("here", "other-pass") == "in"


async def test_a_token_is_a_password_for_drivers_that_know_passwords_only(place: Place) -> None:
    user = "alice@password.example"
    assert place.psql(user, fresh()) == "in"
    with psycopg.connect(place.dsn(user, password=fresh())) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    opened = await place.asyncpg(user, fresh())
    assert await opened.fetchval("SELECT count(*) FROM orders") == 0  # the tenant is the login's
    await opened.close()


@pytest.mark.parametrize(
    ("user", "given"),
    [
        ("alice@password.example", {"sub": "bob"}), ("alice@password.example", {"exp": 1}),
        ("nobody@password.example", {}), ("alice@password.example", {"iss": URL + "/bearer"}),
    ],
)  # fmt: skip
def test_a_token_that_does_not_fit_is_a_wrong_password(place: Place, user: str, given: dict[str, Any]) -> None:
    assert failed(user) in place.psql(user, fresh(**given))


def test_a_token_is_not_asked_for_where_others_could_read_it(place: Place) -> None:
    said = place.psql("alice@password.example", fresh(), sslmode="disable")
    assert "a token is needed, and must not be sent unencrypted" in said
    assert "sslmode=require" in said


async def test_a_certificate_is_enough_for_a_login_that_has_no_password(place: Place) -> None:
    assert place.psql("batch", "", **place.shows("batch")) == "in"
    with psycopg.connect(place.dsn("batch", **place.shows("batch"))) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    opened = await place.asyncpg("batch", None, "batch")
    assert await opened.fetchval("SELECT 1") == 1
    await opened.close()


@pytest.mark.parametrize(("user", "shown"), [("batch", "both"), ("batch", ""), ("rotating", "batch")])
def test_a_certificate_of_another_name_is_a_wrong_password(place: Place, user: str, shown: str) -> None:
    assert failed(user) in place.psql(user, "other-pass", **(place.shows(shown) if shown else {}))


def test_where_both_are_asked_for_neither_is_enough(place: Place) -> None:
    assert place.psql("both", "other-pass", **place.shows("both")) == "in"
    assert failed("both") in place.psql("both", "wrong-pass", **place.shows("both"))
    assert failed("both") in place.psql("both", "other-pass", **place.shows("batch"))
    assert failed("both") in place.psql("both", "other-pass")


@pytest.mark.parametrize("shown", ["revoked", "foreign"])
def test_a_certificate_that_is_revoked_or_anothers_does_not_get_through_the_handshake(place: Place, shown: str) -> None:
    said = place.psql("batch", "", **place.shows(shown))
    assert said != "in"
    assert "SSL" in said or "closed" in said or "reset" in said


def libpq(place: Place, user: str, token: str) -> str:
    (library,) = (Path(psycopg.__file__).parent.parent / "psycopg_binary.libs").glob("libpq-*.so*")
    conninfo = place.dsn(user, oauth_issuer=URL + "/bearer", oauth_client_id="partywall-test")
    done = subprocess.run(
        [sys.executable, "-c", LIBPQ, str(library), conninfo, token],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_libpq_18_learns_where_tokens_are_given_and_logs_in_with_one(place: Place) -> None:
    said = libpq(place, "alice@bearer.example", fresh(iss=URL + "/bearer"))
    assert said.splitlines() == [f"{URL}/bearer/.well-known/openid-configuration openid", "0 "]


@pytest.mark.parametrize("user", ["alice@bearer.example", "nobody@bearer.example"])
def test_libpq_18_is_told_that_its_token_does_not_do(place: Place, user: str) -> None:
    said = libpq(place, user, fresh(iss=URL + "/bearer", sub="bob"))
    assert f'OAuth bearer authentication failed for user "{user}"' in said
