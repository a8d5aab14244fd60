"""The audit trail: one line for every refusal of a statement or log-in, with what was decided and who was refused.

The statement appears as its shape, without literals; where there is none (it did not parse) its length and SHA-256
stand for it. Never a literal, never a key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Decided(Protocol):
    """sql.plan.Decision, as far as the trail prints it."""

    @property
    def verdict(self) -> str: ...

    @property
    def kind(self) -> Any: ...

    @property
    def rules(self) -> tuple[str, ...]: ...

    @property
    def shape(self) -> str: ...

    @property
    def sqlstate(self) -> str | None: ...

    @property
    def generation(self) -> int: ...


def audit_fields(decision: Decided, text: bytes, who: Mapping[str, str]) -> dict[str, Any]:
    """What an audit line holds. `who`: tenant, login, database, peer, application_name."""
    fields: dict[str, Any] = {
        "verdict": decision.verdict,
        "kind": decision.kind.value,
        "rules": list(decision.rules),
        "sqlstate": decision.sqlstate,
        "generation": decision.generation,
        **who,
    }
    if decision.shape:
        fields["shape"] = decision.shape
    else:
        fields["length"] = len(text)
        fields["sha256"] = hashlib.sha256(text).hexdigest()
    return fields


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Writes audit lines to a logger."""

    log: Any

    def write(self, decision: Decided, text: bytes, **who: str) -> None:
        """One line."""
        fields = audit_fields(decision, text, who)
        if decision.verdict == "warn":
            self.log.warning("quota exceeded", **fields)
        else:
            self.log.warning("refused", **fields)

    def write_login(self, **fields: str) -> None:
        """One line of somebody who was not let in."""
        self.log.warning("log-in refused", **fields)
