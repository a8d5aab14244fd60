"""Where a database is, and how it is reached: a server's URI as libpq reads it, without its password.

Parameters have libpq's names and meanings, but nothing comes from the environment or the home directory, and whatever
is not known here is refused, because a parameter that is dropped might have been the one that kept somebody out.
Source: libpq documentation, "Connection URIs" and "Parameter Key Words".
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

from proxy.tenancy.policy import Address, Credentials, Server

Place = tuple[Server, Credentials]

FORM = "postgresql://role@host:port/database"
TARGETS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
PORT = 5432

_URI = re.compile(
    r"postgres(?:ql)?://(?:(?P<role>[^@/?]*)@)?(?P<hosts>(?:\[[^]/?]*\]|[^/?\[\]])*)"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<parameters>.*))?"
)
_HOST = re.compile(r"(?P<host>\[[^]]*\]|[^:\[\]]*)(?::(?P<port>.*))?")
VALUES = {
    "sslmode": ("prefer", "disable", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "channel_binding": ("prefer", "disable"),
    "max_protocol_version": ("3.2", "3.0"),
}  # the default first
PATHS = ("sslrootcert", "sslcert", "sslkey")
_STRONG = ("require", "verify-ca", "verify-full")
_MINOR = {"3.0": 0, "3.2": 2}
_CANNOT = {
    ("sslmode", "allow"): "sslmode allow tries plain text first; use prefer",
    ("channel_binding", "require"): "channel_binding require is not supported; use sslmode verify-full",
}


def place_of(uri: str, password: str | None) -> Place:
    """The parts of a server's URI. ValueError, whose text has no secret, when it is not one that can be used."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise ValueError(f"must be {FORM}")
    role, colon, _ = (found["role"] or "").partition(":")
    if colon:
        raise ValueError("the password belongs to the key password")
    pairs = parse_qsl(found["parameters"] or "", keep_blank_values=True)
    given = dict(pairs)
    if len(given) != len(pairs):
        raise ValueError("a parameter is given twice")
    addresses = _addresses(found["hosts"], given.pop("host", ""), given.pop("port", ""))
    database = unquote(found["database"] or "")
    if not role or not all(host for host, _ in addresses) or not database:
        raise ValueError(f"must name role, host and database: {FORM}")
    target = given.pop("target_session_attrs", TARGETS[0])
    if target not in TARGETS:
        raise ValueError(f"unknown target_session_attrs {target}")
    credentials = _credentials(given, password)
    (host, port), *others = addresses
    return Server(host, port, database, unquote(role), tuple(others), target), credentials


def _addresses(written: str, hosts: str, ports: str) -> list[Address]:
    """Hosts and their ports: of the URI's authority, or of the parameters, which are comma-separated lists too."""
    parts = [_HOST.fullmatch(one) for one in written.split(",")]
    if not all(parts):
        raise ValueError(f"must be {FORM}")
    names = hosts.split(",") if hosts else [unquote(one["host"].strip("[]")) for one in parts if one is not None]
    numbers = ports.split(",") if ports else [one["port"] for one in parts if one is not None]
    if len(numbers) == 1:
        numbers *= len(names)
    if len(numbers) != len(names):
        raise ValueError("there must be as many ports as hosts, or one")
    return list(zip(names, [_port(one) for one in numbers], strict=True))


def _port(text: str | None) -> int:
    if not text:
        return PORT
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ValueError("the port must be a number from 1 to 65535")
    return int(text)


def _credentials(given: dict[str, str], password: str | None) -> Credentials:
    unknown = given.keys() - VALUES.keys() - set(PATHS)
    if unknown:
        raise ValueError(f"unknown parameter {min(unknown)}")
    chosen = {}
    for name, values in VALUES.items():
        value = chosen[name] = given.get(name, values[0])
        if value not in values:
            raise ValueError(_CANNOT.get((name, value), f"unknown {name} {value}"))
    root, certificate, key = (given.get(name) or None for name in PATHS)
    if root == "system":  # anybody has a certificate of a public authority: only the name in it says who it is
        mode = chosen["sslmode"] = given.get("sslmode", "verify-full")
        if mode != "verify-full":
            raise ValueError(f"sslmode {mode} is too weak for sslrootcert=system; use verify-full")
    mode = chosen["sslmode"]
    if root is None and mode in ("verify-ca", "verify-full"):
        raise ValueError(f"sslmode {mode} needs sslrootcert: a file, or system with verify-full")
    if (certificate is None) != (key is None):
        raise ValueError("sslcert and sslkey belong together")
    direct = chosen["sslnegotiation"] == "direct"
    for name, wanted in (("sslcert", certificate is not None), ("sslnegotiation=direct", direct)):
        if wanted and mode not in _STRONG:
            raise ValueError(f"sslmode {mode} is too weak for {name}; use require, verify-ca or verify-full")
    return Credentials(
        password=password,
        tls=mode,
        root_certificate=root,
        certificate=certificate,
        key=key,
        direct_tls=direct,
        channel_binding=chosen["channel_binding"] == "prefer",
        minor_version=_MINOR[chosen["max_protocol_version"]],
    )
