"""The pages as data: their blocks, commands, tables and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
OPERATING = ROOT / "docs" / "operating.md"
RULES = ROOT / "docs" / "rules.md"
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    page: str
    language: str
    text: str


def pages() -> list[Path]:
    """Every page of the documentation."""
    return [README, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> list[Block]:
    """Every fenced block, without its indentation."""
    found = []
    for page in pages():
        for indent, language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            lines = [line.removeprefix(indent) for line in text.splitlines()]
            found.append(Block(page.relative_to(ROOT).as_posix(), language, "\n".join(lines)))
    return found


def commands() -> list[str]:
    """Every command of a shell block, in order, without repetition; of a console block the lines that begin with $."""
    found: dict[str, None] = {}
    for block in blocks():
        lines = block.text.replace("\\\n", " ").splitlines()
        if block.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        if block.language in {"sh", "console", "bash", "shell"}:
            found |= {line.strip(): None for line in lines if line.strip() and not line.startswith("#")}
    return list(found)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def tables(page: Path) -> dict[str, list[list[str]]]:
    """The rows of the tables under each heading, header and rule left out."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in prose(page).splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip("|"))
            found.setdefault(heading, []).append([cell.strip() for cell in cells])
    return {name: rows[2:] for name, rows in found.items()}
