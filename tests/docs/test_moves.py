"""The tables of the page on moves are the program's: its options, where a move is, and what it says, word for word."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from typer.main import get_command

from proxy.cli import application
from proxy.cli.move import WHAT
from tests.docs.pages import ROOT, SPAN, prose

PAGE = ROOT / "docs" / "move.md"


def first_cells(header: str) -> list[str]:
    """Of the table that begins with this cell."""
    rows = prose(PAGE).partition(f"\n| {header} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip() for row in rows]


MESSAGES = [one for cell in first_cells("the command says") for one in SPAN.findall(cell)]


def texts() -> Iterator[str]:
    """Every string of the program; what is put into it is `…`."""
    for path in sorted((ROOT / "proxy").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"\{\w*\}", "…", node.value)


TEXTS = list(texts())


@pytest.mark.parametrize("message", MESSAGES)
def test_what_the_command_says_stands_in_the_code_word_for_word(message: str) -> None:
    """In one string of it. acme, the page's tenant, is put in like whatever the page leaves out."""
    parts = [one.strip(" ;") for one in re.split("…|acme", message)]
    wanted = re.compile(".*".join(map(re.escape, filter(None, parts))), re.DOTALL)
    assert any(map(wanted.search, TEXTS)), wanted.pattern


def test_the_page_has_every_option_and_every_place_where_a_move_can_be() -> None:
    known = get_command(application).commands["move"]  # type: ignore[attr-defined]  # a group of commands
    options = {name for one in known.params for name in one.opts} - {"--help", "--tenant", "--database"}
    assert {name for cell in first_cells("option") for name in SPAN.findall(cell)} == options
    assert [name for cell in first_cells("it says") for name in SPAN.findall(cell)] == [*WHAT]
    assert len(MESSAGES) > 20
