"""Who asks at the door learns nothing of which logins exist: every way not to get in looks the same, byte for byte."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from proxy.auth.scram import build_verifier
from tests.kit.certificates import certify_proxy
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.sample import load_sample
from tests.wire.test_forwarded import header

VERIFIER = build_verifier("right-pass", b"0123456789abcdef", 4096)
NEXT = build_verifier("next-pass", b"0123456789abcdef", 4096)
RULES = f"""\
tenant: doors
databases: [shared]
keys: {{default: 88, slug: doors, uid: 00000000-0000-4000-8000-000000000088}}
logins:
  existing: {{verifier: "{VERIFIER}"}}
  rotating: {{verifier: ["{VERIFIER}", "{NEXT}"]}}
  disabled: {{verifier: "{VERIFIER}", disabled: true}}
  tooolate: {{verifier: "{VERIFIER}", valid_until: 2020-01-01 00:00:00Z}}
  far_away: {{verifier: "{VERIFIER}", allow_from: [192.0.2.1]}}
  certonly: {{certificate: {{common_name: certonly}}}}
  certboth: {{verifier: "{VERIFIER}", certificate: {{common_name: certboth}}}}
  unasked_: {{verifier: auth_query}}
"""
ASKING = "auth_query: {query: 'SELECT NULL::text, NULL::text WHERE cardinality($1::text[]) < 0'}\naccept:"
ADDRESSES = itertools.count(1)
CLOSED = ("disabled", "tooolate", "far_away", "certonly", "certboth", "unasked_", "unknown_")


@pytest.fixture(scope="module")
def proxy(postgres15: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    settings = certify_proxy(folder, authority) | {"TLS_CLIENT_CA": str(folder / "ca.crt")}
    settings["PROXY_PROTOCOL_FROM"] = "127.0.0.1"
    with running_proxy(load_sample(postgres15).port, **settings) as running:
        file: Path = running.directory / "rules" / "sample.yaml"
        text = file.read_text(encoding="utf-8").replace("accept:", ASKING, 1)
        file.write_text(text + "---\n" + RULES, encoding="utf-8")
        running.reload_whole()
        yield running


def client(proxy: Proxy, user: str, password: str, database: str = "shared") -> RawClient:
    """Each comes from an address of its own, or the throttle would make all wait for the wrong proofs of the others."""
    number = next(ADDRESSES)
    came: type[RawClient] = type("Came", (RawClient,), {"before": header(f"198.51.{number // 256}.{number % 256}")})
    made = came("127.0.0.1", proxy.port, user, database, password)
    made.close()
    return made


def conversation(proxy: Proxy, user: str, password: str, database: str = "shared") -> list[bytes]:
    """All that the proxy says, with what is random, or the login's own, taken out."""
    said = [one.tag.encode() + one.body for one in client(proxy, user, password, database).greeting.messages]
    said = [re.sub(rb"r=[^,]+,s=[A-Za-z0-9+/]{22}==,i=", b"r=?,s=?,i=", one) for one in said]
    return [one.replace(user.encode(), b"?") for one in said]


@pytest.mark.parametrize("password", ["right-pass", "wrong"])
@pytest.mark.parametrize("database", ["shared", "no_such"])
def test_every_way_not_to_get_in_looks_like_a_wrong_password(proxy: Proxy, password: str, database: str) -> None:
    wanted = conversation(proxy, "existing", "wrong", database)
    assert [one[:1] for one in wanted] == [b"R", b"R", b"E"]
    assert b"C28P01" in wanted[-1]
    for user in CLOSED:
        assert conversation(proxy, user, password, database) == wanted, user
    assert conversation(proxy, "rotating", "wrong", database) == wanted


def test_the_right_password_is_the_only_one_that_is_told_more(proxy: Proxy) -> None:
    for user, password in (("existing", "right-pass"), ("rotating", "right-pass"), ("rotating", "next-pass")):
        assert conversation(proxy, user, password)[-1][:1] == b"Z"
        assert b"C3D000" in conversation(proxy, user, password, "no_such")[-1]


def salt(proxy: Proxy, user: str) -> bytes:
    said = client(proxy, user, "wrong").greeting.messages
    (challenge,) = [one.body for one in said if one.body[:4] == b"\0\0\0\x0b"]
    return challenge.split(b",")[1]


@pytest.mark.parametrize("user", ["existing", *CLOSED])
def test_who_asks_from_two_addresses_is_shown_the_same_salt(proxy: Proxy, user: str) -> None:
    """A login that does not exist included: one that changed would tell that nobody is there, or who may come."""
    assert salt(proxy, user) == salt(proxy, user)
