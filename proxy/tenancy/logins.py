"""The shape of what rule files say about logins: how one proves itself, what it may not do, and whose tokens count.

A verifier is SecretStr and never printed. Nothing here looks anything up; load.py does.
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from proxy.auth.addresses import Networks, parse_networks
from proxy.auth.certificate import CertificateRule, Kind
from proxy.auth.scram import Verifier, both, parse_verifier
from proxy.auth.token import Issuer, parse_keys
from proxy.tenancy.policy import Login, VerifierSource
from proxy.tenancy.quotas import LoginQuotas, limits_of
from proxy.tenancy.values import Duration, Name, Strict

AUTH_QUERY = "auth_query"  # in the place of a verifier


def _moment(value: object) -> object:
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            raise ValueError("must be a time with its zone such as 2027-01-31 18:00:00+00:00")
        return found
    return value


def _networks(value: list[str]) -> list[str]:
    parse_networks(value)
    return value


Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=str)]
AllowFrom = Annotated[list[str], Field(min_length=1), AfterValidator(_networks)]


def allowed_from(*lists: list[str] | None) -> tuple[Networks, ...]:
    """Sets of addresses, of which each must have the client's; what is not said asks for nothing."""
    return tuple(parse_networks(one) for one in lists if one is not None)


class AuthQuery(Strict):
    """How a database's server is asked for verifiers. role, password: another log-in there than the database's."""

    query: Annotated[str, Field(min_length=1)]
    role: Name | None = None
    password: SecretStr | None = None


class CertificateModel(Strict):
    """The name in a login's client certificate: exactly one kind."""

    common_name: Annotated[str, Field(min_length=1)] | None = None
    subject: Annotated[str, Field(min_length=1)] | None = None
    dns: Annotated[str, Field(min_length=1)] | None = None
    email: Annotated[str, Field(min_length=1)] | None = None
    uri: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        self.run()
        return self

    def run(self) -> CertificateRule:
        """What runs; ValueError unless exactly one name is said."""
        given = [CertificateRule(kind, value) for kind in get_args(Kind) if (value := getattr(self, kind)) is not None]
        if len(given) != 1:
            raise ValueError("must say exactly one of common_name, subject, dns, email, uri")
        return given[0]


class LoginModel(Strict):
    """One login of a tenant."""

    verifier: SecretStr | Annotated[list[SecretStr], Field(min_length=1, max_length=2)] | None = None
    token: Annotated[str, Field(min_length=1)] | None = None
    certificate: CertificateModel | None = None
    valid_until: Moment | None = None
    allow_from: AllowFrom | None = None
    read_only: bool = False
    disabled: bool = False
    quotas: LoginQuotas | None = None

    @model_validator(mode="after")
    def _proof(self) -> Self:
        if self.verifier is not None and self.token is not None:
            raise ValueError("must say only one of verifier and token")
        if self.verifier is None and self.token is None and self.certificate is None:
            raise ValueError("must say what it proves: verifier, token or certificate")
        _ = self.password  # or what is wrong with it
        return self

    @property
    def asked(self) -> bool:
        """Is its verifier asked for at a server?"""
        return isinstance(self.verifier, SecretStr) and self.verifier.get_secret_value() == AUTH_QUERY

    @cached_property
    def password(self) -> Verifier | None:
        """What a password is checked against; ValueError tells what is wrong, and no part of it."""
        if self.verifier is None or self.asked:
            return None
        given = self.verifier if isinstance(self.verifier, list) else [self.verifier]
        try:
            verifiers = [parse_verifier(one.get_secret_value()) for one in given]
        except ValueError:
            raise ValueError(
                "verifier is not a SCRAM-SHA-256 verifier; make one with partywall hash-password"
            ) from None
        try:
            return verifiers[0] if len(verifiers) == 1 else both(*verifiers)
        except ValueError:
            raise ValueError(
                "the two verifiers differ in salt or iterations, so that only one password could be asked for;"
                " make the new one with partywall hash-password --like OLD"
            ) from None

    def login(
        self,
        name: str,
        tenant: str,
        allow_from: list[str] | None,
        source: VerifierSource | None = None,
        disabled: bool = False,
    ) -> Login:
        """What runs. allow_from, disabled: what the tenant says; source: who is asked for its verifier."""
        return Login(
            name,
            tenant,
            self.password,
            self.read_only,
            self.disabled or disabled,
            None if self.valid_until is None else self.valid_until.timestamp(),
            allowed_from(allow_from, self.allow_from),
            self.token,
            source if self.asked else None,
            None if self.certificate is None else self.certificate.run(),
            None if self.quotas is None else limits_of(self.quotas),
        )


Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "HS256", "HS384",
    "HS512",
]  # fmt: skip


class IssuerModel(Strict):
    """An `issuer:` document: who signs tokens for the logins whose names end with `suffix`."""

    rules_version: Literal[1] = 1
    issuer: Annotated[str, Field(pattern=r"^https?://\S+$")]
    audience: Annotated[str, Field(min_length=1)]
    suffix: Annotated[str, Field(pattern=r"^@.+$", max_length=62)]
    keys: SecretStr
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] = ["RS256", "ES256"]
    claim: Annotated[str, Field(min_length=1)] = "sub"
    leeway: Duration = 30.0
    method: Literal["password", "oauthbearer"] = "password"
    scope: str = ""

    @model_validator(mode="after")
    def _keys(self) -> Self:
        self.run()
        return self

    def run(self) -> Issuer:
        """What runs; ValueError tells what is wrong with the keys, and no part of them."""
        algorithms = tuple(self.algorithms)
        keys = parse_keys(self.keys.get_secret_value(), algorithms)
        return Issuer(
            self.issuer,
            self.audience,
            self.suffix,
            keys,
            algorithms,
            self.claim,
            self.leeway,
            self.method,
            self.scope,
            self.keys.get_secret_value(),
        )
