"""A server's URI: read as libpq reads it, and refused where it says what cannot be kept."""

from __future__ import annotations

import pytest

from proxy.tenancy.policy import Credentials, Server
from proxy.tenancy.servers import place_of

CA = "sslrootcert=/etc/ca.crt"


@pytest.mark.parametrize(
    ("uri", "server"),
    [
        ("postgresql://app@db/shop", Server("db", 5432, "shop", "app")),
        ("postgres://app@DB.example:5433/Shop", Server("DB.example", 5433, "Shop", "app")),
        ("postgresql://app@[::1]:5433/shop", Server("::1", 5433, "shop", "app")),
        ("postgresql://a%40b%2Fc@db/my%20shop", Server("db", 5432, "my shop", "a@b/c")),
        ("postgresql://app@/shop?host=/var/run/Postgres", Server("/var/run/Postgres", 5432, "shop", "app")),
        ("postgresql://app@%2Fvar%2Frun%2FPostgres:5433/shop", Server("/var/run/Postgres", 5433, "shop", "app")),
        ("postgresql://app@/shop?host=/tmp&port=5434", Server("/tmp", 5434, "shop", "app")),
        ("postgresql://app@db:1/shop?host=other&port=2", Server("other", 2, "shop", "app")),
    ],
)
def test_a_uri_names_host_port_database_and_role(uri: str, server: Server) -> None:
    assert place_of(uri, None) == (server, Credentials())


@pytest.mark.parametrize(
    ("parameters", "credentials"),
    [
        ("sslmode=require", Credentials(tls="require")),
        (f"sslmode=verify-ca&{CA}", Credentials(tls="verify-ca", root_certificate="/etc/ca.crt")),
        (f"sslmode=verify-full&{CA}", Credentials(tls="verify-full", root_certificate="/etc/ca.crt")),
        ("sslmode=verify-full&sslrootcert=system", Credentials(tls="verify-full", root_certificate="system")),
        ("sslrootcert=system", Credentials(tls="verify-full", root_certificate="system")),
        ("sslmode=require&sslcert=/c&sslkey=/k", Credentials(tls="require", certificate="/c", key="/k")),
        ("sslmode=require&sslnegotiation=direct", Credentials(tls="require", direct_tls=True)),
        ("channel_binding=disable", Credentials(channel_binding=False)),
        ("max_protocol_version=3.0", Credentials(minor_version=0)),
        ("max_protocol_version=3.2&channel_binding=prefer&sslnegotiation=postgres&sslmode=prefer", Credentials()),
    ],
)
def test_parameters_have_the_meaning_of_libpq(parameters: str, credentials: Credentials) -> None:
    assert place_of(f"postgresql://app@db/shop?{parameters}", None)[1] == credentials


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("mysql://app@db/shop", "must be postgresql://"),
        ("postgresql:///shop", "must name role"),
        ("postgresql://db/shop", "must name role"),
        ("postgresql://app@db", "must name role"),
        ("postgresql://app@/shop", "must name role"),
        ("postgresql://app:secret@db/shop", "the password belongs to"),
        ("postgresql://app@db:x/shop", "the port"),
        ("postgresql://app@db:0/shop", "the port"),
        ("postgresql://app@db:65536/shop", "the port"),
        ("postgresql://app@db/shop?password=secret", "unknown parameter password"),
        ("postgresql://app@db/shop?options=-c%20role=x", "unknown parameter options"),
        ("postgresql://app@db/shop?sslmode=require&sslmode=disable", "given twice"),
        ("postgresql://app@db/shop?sslmode=maybe", "unknown sslmode maybe"),
        ("postgresql://app@db/shop?target_session_attrs=master", "unknown target_session_attrs master"),
        ("postgresql://app@a,,c/shop", "must name role"),
        ("postgresql://app@/shop?host=a,b,c&port=1,2", "as many ports as hosts"),
        ("postgresql://app@a:1:2/shop", "the port"),
        ("postgresql://app@db/shop?sslmode=allow", "use prefer"),
        ("postgresql://app@db/shop?sslmode=verify-ca", "needs sslrootcert"),
        ("postgresql://app@db/shop?sslmode=verify-full", "needs sslrootcert"),
        ("postgresql://app@db/shop?sslmode=verify-ca&sslrootcert=system", "too weak for sslrootcert=system"),
        ("postgresql://app@db/shop?sslmode=require&sslrootcert=system", "too weak for sslrootcert=system"),
        ("postgresql://app@db/shop?sslmode=require&sslcert=/c", "belong together"),
        ("postgresql://app@db/shop?sslcert=/c&sslkey=/k", "sslmode prefer is too weak for sslcert"),
        ("postgresql://app@db/shop?sslnegotiation=direct", "sslmode prefer is too weak for sslnegotiation"),
        ("postgresql://app@db/shop?channel_binding=require", "use sslmode verify-full"),
        ("postgresql://app@db/shop?max_protocol_version=3.1", "unknown max_protocol_version 3.1"),
    ],
)
def test_what_cannot_be_kept_is_refused_without_telling_a_secret(uri: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        place_of(uri, "other secret")
    assert "secret" not in str(refused.value).replace("given twice", "")


@pytest.mark.parametrize(
    ("uri", "addresses", "target"),
    [
        ("postgresql://app@a,b/shop", [("a", 5432), ("b", 5432)], "any"),
        (
            "postgresql://app@a:1,[::1]:2,%2Frun/shop?target_session_attrs=read-write",
            [("a", 1), ("::1", 2), ("/run", 5432)],
            "read-write",
        ),
        ("postgresql://app@/shop?host=a,/run&port=6000", [("a", 6000), ("/run", 6000)], "any"),
        ("postgresql://app@/shop?host=a,b&port=1,2&target_session_attrs=standby", [("a", 1), ("b", 2)], "standby"),
    ],
)
def test_a_server_may_stand_at_several_addresses(uri: str, addresses: list[tuple[str, int]], target: str) -> None:
    server, _ = place_of(uri, None)
    assert list(server.addresses) == addresses
    assert server.target == target
