"""The shape of what rule files say about one login: how it proves itself, and what it may not do.

A verifier is SecretStr and never printed. Nothing here looks anything up; load.py does.
"""

from __future__ import annotations

from typing import Self

from pydantic import SecretStr, model_validator

from proxy.auth.scram import parse_verifier
from proxy.tenancy.values import Strict


class LoginModel(Strict):
    """One login of a tenant."""

    verifier: SecretStr
    read_only: bool = False
    disabled: bool = False

    @model_validator(mode="after")
    def _verifier(self) -> Self:
        try:
            parse_verifier(self.verifier.get_secret_value())
        except ValueError:
            raise ValueError(
                "verifier is not a SCRAM-SHA-256 verifier; make one with partywall hash-password"
            ) from None
        return self
