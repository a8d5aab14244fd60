"""attacks.yaml as attacks: what to send, and what the specification expects of row mode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Attack:
    """One SQL entry. statements: raw bytes in order; copydata: for COPY FROM; transaction: run inside BEGIN …
    ROLLBACK.
    """

    id: str
    category: str
    pre: tuple[bytes, ...]
    statements: tuple[bytes, ...]
    copydata: bytes | None
    transaction: bool
    action: str
    sqlstate: str | None
    why: str


def read_attacks(path: Path) -> list[Attack]:
    """Every SQL entry of the file; wire entries have tests of their own."""
    document = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return [_attack(entry) for entry in document["entries"] if "wire" not in entry]


def _attack(entry: dict[str, Any]) -> Attack:
    if "sql_hex" in entry:
        statements = [bytes.fromhex(one) for one in entry["sql_hex"]]
    elif "sql_python" in entry:
        statements = [str(eval(entry["sql_python"], {"__builtins__": {}})).encode()]  # our own data file
    else:
        statements = [one.encode() for one in entry["sql"]]
    expected = entry["expect_row_mode"]
    data = entry.get("copydata")
    return Attack(
        entry["id"],
        entry["category"],
        tuple(one.encode() for one in entry.get("pre", ())),
        tuple(statements),
        None if data is None else data.encode() if isinstance(data, str) else bytes(data),
        bool(entry["transaction"]),
        expected["action"],
        expected.get("sqlstate"),
        entry.get("why", ""),
    )
