"""Every kind of finding that the doctor can have stands in the operator's page."""

from __future__ import annotations

import re

from tests.docs.pages import OPERATING, ROOT

NAMED = re.compile(r'(?:Finding|_critical)\(\s*f?"([a-z]+)\.')
KINDS = re.compile(r"^KINDS = \{([^}]*)\}", re.MULTILINE)


def kinds() -> set[str]:
    """The first part of each finding's name, as the sources have it."""
    found: set[str] = set()
    for folder in ("catalog", "doctor"):
        for path in sorted((ROOT / "proxy" / folder).glob("*.py")):
            text = path.read_text(encoding="utf-8")
            found.update(NAMED.findall(text))
            for table in KINDS.findall(text):
                found.update(re.findall(r': "([a-z]+)"', table))
    return found


def test_the_page_names_every_kind_of_finding() -> None:
    page = OPERATING.read_text(encoding="utf-8")
    section = page[page.index("\n## The doctor\n") : page.index("\n## The canary\n")]
    told = set(re.findall(r"`([a-z]+)\.", section))
    assert len(kinds()) > 15
    assert kinds() <= told
