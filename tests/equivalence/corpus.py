"""legit.sql as blocks: id, family, kind, flags and the statements as a client would send them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HEADER = re.compile(r"^-- @ (\S+) (\S+) (\S+)(.*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """One legitimate piece of work. statements: in order, each without its final semicolon's newline; data: for COPY
    FROM.
    """

    id: str
    family: str
    kind: str
    ordered: bool
    multi: bool
    statements: tuple[str, ...]
    data: str | None = None


def read_blocks(path: Path) -> list[Block]:
    """Every block of the file; the format is in the file's own header."""
    blocks: list[Block] = []
    header: re.Match[str] | None = None
    lines: list[str] = []
    for line in [*path.read_text(encoding="utf-8").splitlines(), "-- @ end end end"]:
        found = HEADER.match(line)
        if found is None:
            lines.append(line)
            continue
        if header is not None:
            blocks.append(_block(header, lines))
        header, lines = found, []
    return blocks


def _block(header: re.Match[str], lines: list[str]) -> Block:
    name, family, kind, flags = header.group(1), header.group(2), header.group(3), header.group(4).split()
    text = "\n".join(lines).strip()
    data: str | None = None
    if kind == "copyin":
        head, rest = text.split("\n", 1)
        body, _, check = rest.partition("\\.\n") if "\\.\n" in rest else (rest.removesuffix("\\."), "", "")
        data = body
        statements: tuple[str, ...] = tuple(part for part in (head, check.strip()) if part)
    elif kind == "txn" and "multi" not in flags:
        statements = tuple(part.strip() for part in re.split(r";\s*\n", text.rstrip().rstrip(";")) if part.strip())
    else:
        statements = (text,)
    return Block(name, family, kind, "ordered" in flags, "multi" in flags, statements, data)
