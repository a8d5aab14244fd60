"""Every kind of finding that the doctor can have stands in the operator's page and in a test that tries attacks."""

from __future__ import annotations

import re

from tests.docs.pages import OPERATING, ROOT

NAMED = re.compile(r'(?:Finding|_critical)\(\s*f?"([a-z]+\.[a-z]*)')
KINDS = re.compile(r"^KINDS = \{([^}]*)\}", re.MULTILINE)


def kinds() -> set[str]:
    """The names of findings as the sources begin them: `role.function`, or `keys.` with a relation behind it."""
    found: set[str] = set()
    for folder in ("catalog", "doctor"):
        for path in sorted((ROOT / "proxy" / folder).glob("*.py")):
            text = path.read_text(encoding="utf-8")
            found.update(NAMED.findall(text))
            for table in KINDS.findall(text):
                found.update(f"{one}." for one in re.findall(r': "([a-z]+)"', table))
    return found


def test_the_page_names_every_kind_of_finding() -> None:
    page = OPERATING.read_text(encoding="utf-8")
    section = page[page.index("\n## The doctor\n") : page.index("\n## The canary\n")]
    told = set(re.findall(r"`([a-z]+\.)", section))
    assert len(kinds()) > 30
    assert {one.partition(".")[0] + "." for one in kinds()} <= told


def test_every_kind_stands_in_a_test_that_tries_attacks() -> None:
    tests = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    trying = [text for text in tests if "from tests.kit.attacks import" in text]
    assert {one for one in kinds() if not any(f'"{one}' in text for text in trying)} == set()
