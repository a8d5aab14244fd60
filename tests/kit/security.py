"""The part of docs/security.md that says what becomes of each catalog, made from the data that confines them.

`python -m tests.kit.security` writes it between its markers; tests/docs/test_security.py compares.
"""

from __future__ import annotations

import re
from pathlib import Path

from proxy.sql.catalogs import FACTS, rules

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
COMMAND = "python -m tests.kit.security"
# The first that is found in a mask says what it is; none, and the page cannot be made.
MEANS = tuple(
    (re.compile(words), means)
    for words, means in {
        "^NULL::": "NULL",
        "^CASE name WHEN 'application_name' ": "without the label of application_name",
        "^CASE WHEN EXISTS .* t.partstrat = 'r' .*END$": "NULL but for ranges of dates and times",
        r"^CASE WHEN \w+ = ANY \(\{relations\}\) ": "a constant where it is hidden",
        "|".join(map(re.escape, FACTS)): "the session's own",
        "^xact_start$": "the start of the transaction",
        r"^(\(?-?\d+\)?|'\d*'|false)(::[\w.]+)?$": "a constant",
    }.items()
)
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
    return ", ".join(dict.fromkeys(next(means for words, means in MEANS if words.search(mask)) for mask in masks))


def renewed(text: str) -> str:
    """The page with its made part as the data has it now."""
    return MARKERS.sub(lambda found: found[1] + catalogs_table() + found[2], text)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
