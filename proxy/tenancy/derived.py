"""Keys that follow from a tenant's name: its seed, and the names of its own sequences.

They stand in Grant.keys beside the keys of the rule file, and like those are only ever filled into a plan's holes.
Rule files cannot name them: their key names may not begin with `$`. Every proxy in front of a database derives the same
ones, or its tenants could not lock each other out or hear each other. Decisions 0023 and 0024.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

SEED = "$seed"  # 64 hexadecimal digits; what tenants share by name or number is hashed behind it
PROCESS = "$process"  # a session's process id, as BackendKeyData gave it
APPLICATION = "$application"  # what stands before a session's application_name at the server
QUERY = "$query"  # what the client sent
LISTENING = "$listening"  # a session's channels, as an array literal
OWN = "__t_"  # between a sequence's name and the tenant's part
OWN_SEQUENCE = "$sequence "  # and schema.name: the key that names a tenant's own
DIGITS = 16
LONGEST = 63 - len(OWN) - DIGITS  # bytes of a name that the tenant's part is appended to


def seed(tenant: str, database: str) -> str:
    """The tenant's seed in one database of the server. Names hold no NUL, so two pairs are never one text."""
    return hashlib.sha256(f"partywall\0{database}\0{tenant}".encode()).hexdigest()


def sequence_key(schema: str, name: str) -> str:
    """The key that holds the name of a tenant's own sequence, quoted as in a regclass literal."""
    return f"{OWN_SEQUENCE}{schema}.{name}"


def own_sequence(name: str, tenant_seed: str) -> str:
    """The name that a tenant's own sequence has at the server; in the schema of the one it stands for."""
    return f"{name}{OWN}{tenant_seed[:DIGITS]}"


def own_channel(name: str, tenant_seed: str) -> str:
    """The channel at the server that stands for a tenant's channel of this name."""
    return "pw_" + hashlib.sha256(f"{tenant_seed}c{name}".encode()).hexdigest()[:60]


def array_literal(names: Iterable[str]) -> str:
    """Texts as the input of text[]."""
    return "{" + ",".join('"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"' for one in names) + "}"


def derived_keys(tenant: str, database: str, sequences: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Every derived key of a tenant; `sequences`: (schema, name) of those that are per tenant."""
    own = seed(tenant, database)
    names = {
        sequence_key(schema, name): f"{quoted(schema)}.{quoted(own_sequence(name, own))}" for schema, name in sequences
    }
    return {SEED: own, **names}


def quoted(name: str) -> str:
    """An identifier in quotes."""
    return '"' + name.replace('"', '""') + '"'
