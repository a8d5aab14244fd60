"""Mode equality: the table of docs/compatibility.md that says, family by family, what each isolation mode answers
otherwise than a private database.

`python -m tests.equivalence.equality` plays both corpora in every mode and writes equality.json and the page's part;
tests/equivalence/test_equality.py compares both with what it sees.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from proxy.errors import Refusal
from proxy.sql.parse import parse
from tests.equivalence.corpus import Block
from tests.equivalence.modes import CORPORA, MODES, PROTOCOLS, Mode
from tests.equivalence.run import Outcome
from tests.kit.postgres import running
from tests.kit.rules import TENANTS

RECORD = Path(__file__).with_name("equality.json")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
COMMAND = "python -m tests.equivalence.equality"
MARKERS = re.compile(r"(<!-- made: modes -->\n).*?(<!-- end: modes -->)", re.DOTALL)
MAJORS = (15, 18)
VERDICTS = ("different", "refused")  # the graver first

# Why a block of legit.sql is not equal somewhere; the page shows it.
_WITHHELD = "the DETAIL of a violated key, which a server with policies keeps to itself"
REASONS = {
    "L175": "a materialized view holds rows that no policy filters: it is absent",
    "L213": "a key without the tenant column",
    "L214": "the same, by ON CONFLICT",
    "L248": _WITHHELD,
    "L249": _WITHHELD,
    "L250": _WITHHELD,
    "L345": "a function that the rules do not list",
    "L346": "a procedure that they do not list",
}

Unequal = Mapping[str, str]
"""Block -> verdict, of those that are not equal."""
Record = Mapping[str, Mapping[str, Unequal]]
"""Corpus -> mode -> what is not equal there for any tenant, by any protocol, on any major."""


def unequal(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """What is not equal, each with the gravest verdict that it got."""
    found: dict[str, str] = {}
    for one in outcomes:
        if one.verdict != "equal" and found.get(one.block.id) != VERDICTS[0]:
            found[one.block.id] = one.verdict
    return found


def recorded() -> Record:
    """What was seen when it was recorded."""
    found: Record = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def statements_of(block: Block) -> frozenset[str]:
    """The kinds of its statements, as the grammar calls them; what does not parse has none."""
    found = set()
    for text in block.statements:
        try:
            found |= {kind for one in parse(text.encode(), size_limit=1 << 20, server_major=18) for kind in one.tree}
        except Refusal:
            continue
    return frozenset(found)


def page_part(record: Record) -> str:
    """Both corpora by family, and legit.sql by kind of statement."""
    parts = [
        *_table("family of `legit.sql`", _families("legit"), record["legit"], total=True),
        "",
        "| block | why it is not equal there |",
        "| --- | --- |",
        *(f"| {name} | {why} |" for name, why in REASONS.items()),
        "",
        *_table("statements of `legit.sql`", _kinds("legit"), record["legit"]),
        "",
        *_table("family of `physical.sql`", _families("physical"), record["physical"], total=True),
    ]
    return "\n".join(parts) + "\n"


def renewed(text: str, record: Record) -> str:
    """The page with its made part as the record has it."""
    return MARKERS.sub(lambda found: found[1] + page_part(record) + found[2], text)


def _families(corpus: str) -> dict[str, list[Block]]:
    found: dict[str, list[Block]] = {}
    for block in CORPORA[corpus]:
        found.setdefault(block.family, []).append(block)
    return dict(sorted(found.items()))


def _kinds(corpus: str) -> dict[str, list[Block]]:
    found: dict[str, list[Block]] = {}
    for block in CORPORA[corpus]:
        for kind in statements_of(block):
            found.setdefault(f"`{kind}`", []).append(block)
    return dict(sorted(found.items()))


def _table(
    head: str, groups: Mapping[str, list[Block]], seen: Mapping[str, Unequal], *, total: bool = False
) -> list[str]:
    modes = [one.name for one in MODES]
    lines = [f"| {head} | blocks | {' | '.join(modes)} |", f"| --- | ---: |{' --- |' * len(modes)}"]
    if total:
        groups = {**groups, "all": [one for blocks in groups.values() for one in blocks]}
    for name, blocks in groups.items():
        cells = [_cell(blocks, seen[mode], names=name != "all") for mode in modes]
        lines.append(f"| {name} | {len(blocks)} | {' | '.join(cells)} |")
    return lines


def _cell(blocks: list[Block], seen: Unequal, *, names: bool) -> str:
    """How many are equal, and which are not."""
    said = []
    for verdict in reversed(VERDICTS):
        those = sorted(one.id for one in blocks if seen.get(one.id) == verdict)
        if those:
            said.append(f"{len(those)} {verdict}" + (f": {', '.join(those)}" if names else ""))
    equal = sum(one.id not in seen for one in blocks)
    return "; ".join([f"{equal} equal", *said])


def _played(mode: Mode) -> dict[str, dict[str, str]]:
    """Every corpus for every tenant by every protocol on both majors."""
    outcomes: dict[str, list[Outcome]] = {corpus: [] for corpus in CORPORA}
    for major in MAJORS:
        with running(major) as cluster, mode.stage(cluster) as stage:
            for corpus in CORPORA:
                for tenant in TENANTS:
                    for protocol in PROTOCOLS:
                        outcomes[corpus] += stage.play(corpus, tenant, protocol)
    return {corpus: dict(sorted(unequal(some).items())) for corpus, some in outcomes.items()}


def main(names: list[str]) -> None:
    """Plays the modes of these names, or all, and writes what was seen."""
    record = {corpus: dict(modes) for corpus, modes in recorded().items()} if RECORD.exists() else {}
    for mode in MODES:
        if not names or mode.name in names:
            for corpus, seen in _played(mode).items():
                record.setdefault(corpus, {})[mode.name] = seen
                print(f"{corpus}, {mode.name}: {seen}")
            RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), record), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
