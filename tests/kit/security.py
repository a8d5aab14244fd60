"""The part of docs/security.md that says what becomes of each catalog, made from the data that confines them.

`python -m tests.kit.security` writes it between its markers; tests/docs/test_security.py compares.
"""

from __future__ import annotations

import re
from pathlib import Path

from proxy.sql.catalogs import rules

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
COMMAND = "python -m tests.kit.security"
MARKERS = re.compile(r"(<!-- made: catalogs -->\n).*?(<!-- end: catalogs -->)", re.DOTALL)


def _name(full: str) -> str:
    return full.removeprefix("pg_catalog.")


def catalogs_table() -> str:
    """What is shown whole, in part, empty or not at all, and which columns and calls are masked."""
    data = rules()
    relations = data["relations"]
    groups = {
        "whole": [name for name, one in relations.items() if one["where"] == ""],
        "what policy shows": [name for name, one in relations.items() if one["where"] not in ("", "false")],
        "empty, and not read": [name for name, one in relations.items() if one["where"] == "false"],
        "refused, 42501": data["denied"],
    }
    lines = ["| rows | catalogs |", "| --- | --- |"]
    lines += [f"| {group} | {', '.join(_name(one) for one in names)} |" for group, names in groups.items()]
    lines += ["", "| masked | by |", "| --- | --- |"]
    for name, one in relations.items():
        masked = [column for column, mask in one["columns"].items() if mask]
        if masked and one["where"] != "false":
            lines.append(f"| {_name(name)}: {', '.join(masked)} | {_means([one['columns'][c] for c in masked])} |")
    calls = [f"{call}()" for call in (*data["functions"], *data["of_columns"])]
    lines.append(f"| {', '.join(calls)} | {_means([*data['functions'].values(), *data['of_columns'].values()])} |")
    return "\n".join(lines) + "\n"


def _means(masks: list[str]) -> str:
    """What a reader would call these values."""
    found = []
    for mask in masks:
        if mask.startswith("NULL::"):
            found.append("NULL")
        elif "{pid}" in mask or "{query}" in mask:
            found.append("the session's own")
        elif mask.startswith("CASE"):
            found.append("NULL but for ranges of dates and times")
        elif mask.isidentifier() and mask != "false":
            found.append(mask)
        else:
            found.append("a constant")
    return ", ".join(dict.fromkeys(found))


def renewed(text: str) -> str:
    """The page with its made part as the data has it now."""
    return MARKERS.sub(lambda found: found[1] + catalogs_table() + found[2], text)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
