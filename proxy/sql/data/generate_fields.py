"""Writes pg_query_fields.json from libpg_query's pg_query.proto (in pglast's source distribution).

    python -m proxy.sql.data.generate_fields path/to/pg_query.proto

The field numbers are data of libpg_query, BSD-3-Clause, Copyright (c) 2015, Lukas Fittl; see pg_query_fields.NOTICE.
Not part of
the running proxy.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
MESSAGE = re.compile(r"message (\w+)\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
ENUM = re.compile(r"enum (\w+)\s*\{([^{}]*)\}")
FIELD = re.compile(r'(repeated )?(\w+) (\w+) = (\d+)\s*(?:\[json_name="(\w+)"\])?;')
VALUE = re.compile(r"(\w+) = (\d+);")


def generate(proto: str) -> dict[str, Any]:
    """{"messages": {message: {JSON name: [number, type, repeated]}}, "enums": {enum: {name: number}}}."""
    text = COMMENT.sub("", proto)
    messages = {
        found[1]: {one[5] or one[3]: [int(one[4]), one[2], bool(one[1])] for one in FIELD.finditer(found[2])}
        for found in MESSAGE.finditer(text)
    }
    enums = {found[1]: {one[1]: int(one[2]) for one in VALUE.finditer(found[2])} for found in ENUM.finditer(text)}
    return {"messages": messages, "enums": enums}


def main() -> None:
    """Writes the table beside this file."""
    table = generate(Path(sys.argv[1]).read_text(encoding="utf-8"))
    target = Path(__file__).with_name("pg_query_fields.json")
    target.write_text(json.dumps(table, sort_keys=True, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
