"""RuleBook: everything the rule files say, as one immutable value with a generation; swapped whole.

The login decides the tenant, and the tenant with the database decides the grant; nothing else has a say.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from proxy.auth.scram import ITERATIONS
from proxy.auth.token import Issuer
from proxy.tenancy.policy import BackupRule, Grant, Login, Policy, TenantTable

GrantKey = tuple[str, str, bool]  # tenant, database, read_only


@dataclass(frozen=True, slots=True)
class RuleBook:
    """grants by (tenant, database, read_only)."""

    generation: int
    logins: Mapping[str, Login]
    grants: Mapping[GrantKey, Grant]
    databases: tuple[str, ...]
    tenants: tuple[str, ...]
    canaries: tuple[str, ...] = ()  # tenants without rows, as which the proxy attacks itself
    issuers: tuple[Issuer, ...] = ()
    iterations: int = ITERATIONS  # of most verifiers, so that a login that does not exist has as many
    tables: tuple[tuple[TenantTable, str], ...] = ()  # that tenants were read from, and what told the rows' versions
    backups: Mapping[tuple[str, str], BackupRule] = field(default_factory=dict)  # by tenant and database

    def login(self, name: str) -> Login | None:
        """The login of that name, disabled or not; None when there is none."""
        return self.logins.get(name)

    def issuer(self, name: str) -> Issuer | None:
        """Whose token a login of that name is asked for, whether it exists or not; None: it is asked for a password."""
        return next((one for one in self.issuers if name.endswith(one.suffix)), None)

    def grant(self, login: Login, database: str) -> Grant | None:
        """What a login may do on a database; None when its tenant has no such database."""
        return self.grants.get((login.tenant, database, login.read_only))

    def tenant_of(self, login: str) -> str | None:
        """The tenant of the login of that name; None when there is none."""
        found = self.logins.get(login)
        return None if found is None else found.tenant


def usual_iterations(logins: Iterable[Login]) -> int:
    """How many most of their verifiers have; of as many, the fewer."""
    counted = Counter(one.verifier.iterations for one in logins if one.verifier is not None)
    return min(counted, key=lambda count: (-counted[count], count), default=ITERATIONS)


def with_logins(book: RuleBook, logins: Iterable[Login]) -> RuleBook:
    """The book with logins that no rule file has."""
    return replace(book, logins={**book.logins, **{one.name: one for one in logins}})


def classified(policy: Policy) -> Policy:
    """The policy with its class: a hash over every other field. Equal classes may share plans."""
    parts = []
    for one in fields(policy):
        if one.name == "policy_class":
            continue
        value = getattr(policy, one.name)
        if isinstance(value, Mapping):
            value = sorted(value.items())
        elif isinstance(value, frozenset):
            value = sorted(value)
        parts.append(f"{one.name}={value!r}")
    return replace(policy, policy_class=hashlib.sha256("\n".join(parts).encode()).hexdigest())
